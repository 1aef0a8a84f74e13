#!/usr/bin/env python3
"""Throughput of orrery-tproxy beside socat and redsocks, and memory of 10,000 open connections.

    sudo bench/tproxy/run.py [--build build/release] [--rounds 5] [--mb 400] [--json FILE]

Everything runs in throw-away network namespaces, pinned to one core, the peers in turn in each
round:   client --veth-- lan [proxy's listeners] ; proxy --veth-- server [SOCKS5 server, web server]
The path, the SOCKS5 server and the client are the same for every proxy. "direct" is a client that
speaks SOCKS5 itself, with no proxy between: the limit that the SOCKS5 server sets.
redsocks and socat are reached by nft redirect (they know no tproxy); socat is told the one
destination, because it cannot ask for the original one.
"""
import argparse, array, ctypes, json, os, signal, socket, statistics, subprocess, sys, tempfile, time

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
SERVER, CLIENT_GW = "198.18.0.9", "10.2.2.254"
WEB, SOURCE, IDLE = 8080, 1, 7


def sh(ns, *argv, text=None):
    return subprocess.run(argv, input=text, text=True, check=True, preexec_fn=lambda: enter(ns),
                          stdout=subprocess.PIPE).stdout


def enter(ns):
    if ns is not None and LIBC.setns(ns, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Net:
    """The namespaces, as descriptors: they go when the program ends."""

    def __init__(self):
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        for name in ("client", "lan", "proxy", "server"):
            if LIBC.unshare(CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "unshare")
            setattr(self, name, os.open("/proc/self/ns/net", os.O_RDONLY))
        enter(home)
        self.wire("lan", f"{CLIENT_GW}/16", "client", "10.2.0.1/16", "c0")
        self.wire("proxy", "198.18.0.1/24", "server", f"{SERVER}/24", "up0")
        # socat and redsocks stand in the LAN namespace, and reach the server from there.
        self.wire("lan", "198.18.1.1/24", "server", "198.18.1.9/24", "up1")
        sh(self.client, "ip", "route", "add", "default", "via", CLIENT_GW)
        sh(self.lan, "ip", "route", "add", f"{SERVER}/32", "via", "198.18.1.9")
        sh(self.lan, "ip", "rule", "add", "fwmark", "1", "lookup", "100")
        sh(self.lan, "ip", "route", "add", "local", "0.0.0.0/0", "dev", "lo", "table", "100")

    def wire(self, a, a_address, b, b_address, name):
        peer = f"/proc/{os.getpid()}/fd/{getattr(self, b)}"
        for ns in (a, b):
            sh(getattr(self, ns), "ip", "link", "set", "lo", "up")
        sh(getattr(self, a), "ip", "link", "add", name, "type", "veth", "peer", "name", name,
           "netns", peer)
        for ns, address in ((a, a_address), (b, b_address)):
            sh(getattr(self, ns), "ip", "address", "add", address, "dev", name)
            sh(getattr(self, ns), "ip", "link", "set", name, "up")

    def steer(self, rule):
        sh(self.lan, "nft", "-f", "-", text=f"""
flush ruleset
table ip t {{
  chain m {{ type filter hook prerouting priority mangle; {rule + ';' if 'tproxy' in rule else ''} }}
  chain n {{ type nat hook prerouting priority dstnat; {rule + ';' if 'redirect' in rule else ''} }}
}}""")


def start(ns, *argv, **more):
    process = subprocess.Popen(argv, preexec_fn=lambda: enter(ns), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, **more)
    return process


def stop(process):
    process.kill()
    process.wait()


def wait_port(ns, address, port):
    for _ in range(1000):
        try:
            connect(ns, address, port).close()
            return
        except OSError:
            time.sleep(0.005)
    raise SystemExit(f"nobody listens on {address}:{port}")


def connect(ns, address, port):
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        enter(ns)
        sock = socket.socket()
    finally:
        enter(home)
        os.close(home)
    sock.settimeout(20)
    sock.connect((address, port))
    return sock


class Tproxy:
    def __init__(self, net, build, socks_port, limits=None):
        net.steer("meta l4proto tcp iifname c0 tproxy to :9040 meta mark set 1 accept")
        ours, theirs = socket.socketpair()
        read, write = os.pipe()
        config = {"upstream": {"address": SERVER, "port": socks_port}, "lan": f"{CLIENT_GW}/16",
                  "limits": limits or {}}
        os.write(write, json.dumps(config).encode())
        os.close(write)
        self.process = start(net.proxy, f"{build}/bench/bench_tproxy_listeners",
                             f"/proc/{os.getpid()}/fd/{net.lan}", f"{build}/bin/orrery-tproxy",
                             str(read), str(theirs.fileno()), pass_fds=(read, theirs.fileno()))
        theirs.close()
        os.close(read)
        self.control = ours
        self.lines = ours.makefile("r")
        if "ready" not in self.lines.readline():
            raise SystemExit("orrery-tproxy did not start")

    def stats(self):
        self.control.sendall(b'{"stats":true}\n')
        while True:
            line = json.loads(self.lines.readline())
            if "stats" in line:
                return line["stats"]

    def close(self):
        stop(self.process)


class Redsocks:
    def __init__(self, net, build, socks_port):
        net.steer("iifname c0 meta l4proto tcp redirect to :12345")
        self.file = tempfile.NamedTemporaryFile("w", suffix=".conf")
        # redsocks wants a line for each setting.
        self.file.write("\n".join([
            "base {", "log_info = off;", "daemon = off;", "redirector = iptables;", "}",
            "redsocks {", "local_ip = 0.0.0.0;", "local_port = 12345;", f"ip = {SERVER};",
            f"port = {socks_port};", "type = socks5;", "}", ""]))
        self.file.flush()
        self.process = start(net.lan, "redsocks", "-c", self.file.name)
        wait_port(net.lan, "127.0.0.1", 12345)

    def close(self):
        stop(self.process)


class Socat:
    """One process a connection (fork), through SOCKS5: Debian's 1.7.4 speaks SOCKS4 alone, so the
    SOCKS5 server is asked by a connection that socat makes and the client greets: the client sends
    the handshake through it. The bytes of the transfer take the same way."""

    handshake = True

    def __init__(self, net, build, socks_port):
        net.steer("iifname c0 meta l4proto tcp redirect to :12346")
        self.process = start(net.lan, "socat", "-b", "65536", "TCP-LISTEN:12346,fork,reuseaddr,nodelay",
                             f"TCP:{SERVER}:{socks_port},nodelay", start_new_session=True)
        wait_port(net.lan, "127.0.0.1", 12346)

    def close(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Direct:
    handshake = True

    def __init__(self, net, build, socks_port):
        net.steer("")
        sh(net.lan, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        sh(net.server, "ip", "route", "replace", "10.2.0.0/16", "via", "198.18.1.1")
        self.port = socks_port

    def close(self):
        pass


def socks_hello(sock, port):
    sock.sendall(b"\5\1\0")
    sock.recv(2, socket.MSG_WAITALL)
    sock.sendall(b"\5\1\0\1" + socket.inet_aton(SERVER) + port.to_bytes(2, "big"))
    sock.recv(10, socket.MSG_WAITALL)


def cpu_ns(proxy):
    """CPU time of a proxy and its children so far (schedstat: nanoseconds, where stat has ticks)."""
    if isinstance(proxy, Direct):
        return 0
    pid = proxy.process.pid
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        pids = [pid, *f.read().split()]
    total = 0
    for each in pids:
        with open(f"/proc/{each}/schedstat") as f:
            total += int(f.read().split()[0])
    return total


def download(net, proxy, port, megabytes, spent):
    """MB/s, and what `spent` says before the end: bytes are thrown away in the kernel (MSG_TRUNC), so that the client costs little."""
    asked = proxy.port if isinstance(proxy, Direct) else port
    sock = connect(net.client, SERVER, asked)
    if getattr(proxy, "handshake", False):
        socks_hello(sock, port)
    if port == WEB:
        sock.sendall(b"GO")
    want, got = megabytes * 1_000_000, 0
    buffer = bytearray(1)
    recv, fd = LIBC.recv, sock.fileno()
    sock.setblocking(True)
    pointer = (ctypes.c_char * 1).from_buffer(buffer)
    begin = time.monotonic()
    while got < want:
        n = recv(fd, pointer, ctypes.c_size_t(1 << 20), socket.MSG_TRUNC)
        if n <= 0:
            raise SystemExit(f"{type(proxy).__name__}: the stream ended after {got} bytes")
        got += n
    seconds = time.monotonic() - begin
    cost = spent()
    sock.close()
    return got / seconds / 1e6, cost


def pss_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Pss:"))


def available_kib():
    with open("/proc/meminfo") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("MemAvailable:"))


def memory(net, build, count):
    sink = start(net.server, f"{build}/bench/bench_tproxy_sink", SERVER, "1081")
    wait_port(net.proxy, SERVER, 1081)
    proxy = Tproxy(net, build, 1081, {"connections": 20000, "per_client": 20000})
    empty, before = pss_kib(proxy.process.pid), available_kib()
    clients = [connect(net.client, SERVER, IDLE) for _ in range(count)]
    while proxy.stats()["established"] < count:
        time.sleep(0.05)
    stats = proxy.stats()
    result = {"connections": stats["open"], "pss_empty_kib": empty,
              "pss_full_kib": pss_kib(proxy.process.pid),
              "mem_available_delta_kib": before - available_kib(),
              "note": "delta holds also the client's and the SOCKS server's sockets"}
    for sock in clients:
        sock.close()
    proxy.close()
    stop(sink)
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mb", type=int, default=400)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--connections", type=int, default=10000)
    parser.add_argument("--json")
    args = parser.parse_args()
    import resource
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < 2 * args.connections + 100:
        args.connections = (hard - 100) // 2
        print(f"at most {hard} descriptors here: {args.connections} connections")
    os.sched_setaffinity(0, {args.core})
    net = Net()
    servers = {"microsocks": 1080, "sink": 1081}
    web = start(net.server, sys.executable, "-c", WEB_SERVER, SERVER, str(WEB))
    running = [web, start(net.server, "microsocks", "-i", SERVER, "-p", "1080"),
               start(net.server, f"{args.build}/bench/bench_tproxy_sink", SERVER, "1081")]
    wait_port(net.proxy, SERVER, 1080)
    wait_port(net.proxy, SERVER, 1081)
    wait_port(net.proxy, SERVER, WEB)
    report = {"unit": "MB/s", "rounds": args.rounds, "mb": args.mb, "servers": {}}
    try:
        for server, socks_port in servers.items():
            port = WEB if server == "microsocks" else SOURCE
            figures, cpu = {}, {}
            for _ in range(args.rounds):
                for kind in (Tproxy, Socat, Redsocks, Direct):
                    proxy = kind(net, args.build, socks_port)
                    before = cpu_ns(proxy)
                    speed, spent = download(net, proxy, port, args.mb, lambda: cpu_ns(proxy))
                    figures.setdefault(kind.__name__.lower(), []).append(speed)
                    cpu.setdefault(kind.__name__.lower(), []).append((spent - before) / args.mb / 1e3)
                    proxy.close()
            report["servers"][server] = summary(server, figures)
            report["servers"][server]["cpu_us_per_mb"] = cpu
        stop(running.pop())
        report["memory"] = memory(net, args.build, args.connections)
        print(json.dumps(report["memory"], indent=1))
    finally:
        for process in running:
            stop(process)
    if args.json:
        with open(args.json, "w") as f:
            json.dump(report, f, indent=1)


def summary(server, figures):
    median = {name: statistics.median(values) for name, values in figures.items()}
    print(f"to {server}:")
    for name, value in median.items():
        ratio = f"  tproxy is {median['tproxy'] / value:.2f} x" if name != "tproxy" else ""
        print(f"  {name:10} {value:8.0f} MB/s{ratio}")
    return {"median": median, "all": figures}


WEB_SERVER = """
import os, socket, sys, threading
listener = socket.create_server((sys.argv[1], int(sys.argv[2])), backlog=64)
zeros = os.memfd_create("zeros")
os.ftruncate(zeros, 1 << 26)
def serve(sock):
    try:
        if sock.recv(2):
            while True:
                os.sendfile(sock.fileno(), zeros, 0, 1 << 26)
    except OSError:
        pass
    sock.close()
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""

if __name__ == "__main__":
    main()
