#!/usr/bin/env python3
"""Throughput of orrery-tproxy beside socat and redsocks, and memory of 10,000 open connections.

    sudo bench/tproxy/run.py [--build build/release] [--rounds 5] [--mb 1000] [--json FILE]

Everything runs in throw-away network namespaces, pinned to one core, the peers in turn in each
round:   client --veth-- lan [proxy's listeners] ; proxy --veth-- server [SOCKS5 server, web server]
The path, the SOCKS5 server and the client are the same for every proxy. "direct" is a client that
speaks SOCKS5 itself, with no proxy between: the limit that the SOCKS5 server sets.
redsocks and socat are reached by nft redirect (they know no tproxy); socat is told the one
destination, because it cannot ask for the original one.

Each path is measured with the host's own congestion control and, if that is another, with reno: BBR
paces every sender by a timer, and on a local wire that is most of what there is to measure.

Beside the speed by the clock stands that by the processor: bytes for the CPU time of client, proxy,
server and the kernel's softirq thread together, which other load on the core hardly moves. (In a pid
namespace that thread is not to be seen, and there is no such figure.)

Memory is what a memory cgroup of the proxy alone is charged: its pages and the kernel's objects for
its sockets, files, pipes and epoll. Not charged are the program's own file (PSS when empty), bytes
in TCP's queues (sockstat; they may be anyone's), and with cgroup v1 the `struct sock` of accepted
connections, which are born in softirq (slabinfo). All four are added: an upper bound.
"""
import argparse, ctypes, json, os, re, signal, socket, statistics, subprocess, sys, tempfile, time

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


def start(ns, *argv, cgroup=None, **more):
    def prepare():
        enter(ns)
        if cgroup:
            with open(f"{cgroup}/cgroup.procs", "w") as f:
                f.write("0")

    return subprocess.Popen(argv, preexec_fn=prepare, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, **more)


def stop(process):
    process.kill()
    process.wait()


def wait_port(ns, address, port):
    for _ in range(1000):
        try:
            connect(ns, address, port).close()
            return
        except OSError:
            time.sleep(0.005)  # the kernel has no event for a listener that is to come
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
    def __init__(self, net, build, socks_port, limits=None, cgroup=None):
        net.steer("meta l4proto tcp iifname c0 tproxy to :9040 meta mark set 1 accept")
        ours, theirs = socket.socketpair()
        read, write = os.pipe()
        config = {"upstream": {"address": SERVER, "port": socks_port}, "lan": f"{CLIENT_GW}/16",
                  "limits": limits or {}}
        os.write(write, json.dumps(config).encode())
        os.close(write)
        self.process = start(net.proxy, f"{build}/bench/bench_tproxy_listeners",
                             f"/proc/{os.getpid()}/fd/{net.lan}", f"{build}/bin/orrery-tproxy",
                             str(read), str(theirs.fileno()), cgroup=cgroup,
                             pass_fds=(read, theirs.fileno()))
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
                             f"TCP:{SERVER}:{socks_port},nodelay", process_group=0)
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


def process_ns(pid):
    """CPU time of a process with its threads, also those that have ended (clock_getcpuclockid(3))."""
    return time.clock_gettime_ns((~pid << 3) | 2)


def proxy_ns(proxy):
    """CPU time of a proxy and its children so far."""
    if isinstance(proxy, Direct):
        return 0
    pid = proxy.process.pid
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return sum(process_ns(int(each)) for each in [pid, *f.read().split()])


class Core:
    """CPU time of all that takes part. What the network does later than in a sender's own system call
    is done by the core's ksoftirqd."""

    def __init__(self, core, servers):
        self.servers = servers
        self.softirq = next((int(pid) for pid in os.listdir("/proc")
                             if pid.isdigit() and comm(pid) == f"ksoftirqd/{core}"), None)

    def spent(self, proxy):
        if self.softirq is None:
            return None
        with open(f"/proc/{self.softirq}/schedstat") as f:
            softirq = int(f.read().split()[0])
        servers = sum(process_ns(server.pid) for server in self.servers)
        return softirq + servers + proxy_ns(proxy) + time.process_time_ns()


def comm(pid):
    try:
        with open(f"/proc/{pid}/comm") as f:
            return f.read().strip()
    except OSError:  # it has ended
        return ""


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


def tcp_queues_kib():
    """Of all sockets of the machine."""
    with open("/proc/net/sockstat") as f:
        return int(re.search(r"TCP:.* mem (\d+)", f.read()).group(1)) * 4


def tcp_socket_bytes():
    with open("/proc/slabinfo") as f:
        return next((int(line.split()[3]) for line in f if line.startswith("TCP ")), 2560)


class MemoryGroup:
    """A memory cgroup, of v1 or v2."""

    def __init__(self):
        unified = os.path.exists("/sys/fs/cgroup/cgroup.procs")
        root = "/sys/fs/cgroup" if unified else "/sys/fs/cgroup/memory"
        self.path = f"{root}/orrery-bench-{os.getpid()}"
        self.file = "memory.current" if unified else "memory.usage_in_bytes"
        os.mkdir(self.path)

    def used_kib(self):
        with open(f"{self.path}/{self.file}") as f:
            return int(f.read()) // 1024

    def close(self):
        os.rmdir(self.path)


def memory(net, build, count):
    group = MemoryGroup()
    sink = start(net.server, f"{build}/bench/bench_tproxy_sink", SERVER, "1081")
    proxy = None
    try:
        wait_port(net.proxy, SERVER, 1081)
        limits = {"connections": 20000, "per_client": 20000}
        proxy = Tproxy(net, build, 1081, limits, group.path)
        pid = proxy.process.pid
        empty = {"pss_kib": pss_kib(pid), "cgroup_kib": group.used_kib()}
        queues = tcp_queues_kib()
        clients = [connect(net.client, SERVER, IDLE) for _ in range(count)]
        while proxy.stats()["established"] < count:
            time.sleep(0.05)  # a counter in another process, asked for
        full = {"pss_kib": pss_kib(pid), "cgroup_kib": group.used_kib()}
        result = {"connections": proxy.stats()["open"], "empty": empty, "full": full,
                  "tcp_queues_kib": tcp_queues_kib() - queues,
                  "pipes": sum("pipe:" in os.readlink(f"/proc/{pid}/fd/{fd}")
                               for fd in os.listdir(f"/proc/{pid}/fd")) // 2,
                  "accepted_sockets_kib": count * tcp_socket_bytes() // 1024}
        result["total_kib"] = (full["cgroup_kib"] + empty["pss_kib"] + result["tcp_queues_kib"]
                               + result["accepted_sockets_kib"])
        for sock in clients:
            sock.close()
        return result
    finally:
        if proxy:
            proxy.close()
        stop(sink)
        group.close()


def congestion_control(net, name=None):
    """The namespaces' own, set if a name is given."""
    for ns in (net.client, net.lan, net.proxy, net.server):
        if name:
            sh(ns, "sysctl", "-qw", f"net.ipv4.tcp_congestion_control={name}")
    return sh(net.server, "sysctl", "-n", "net.ipv4.tcp_congestion_control").strip()


def compare(net, args, core, server):
    """All proxies in turn, against one server."""
    port, socks_port, megabytes = (WEB, 1080, args.mb // 10) if server == "microsocks" else (SOURCE, 1081, args.mb)
    figures = {"wall": {}, "by_cpu": {}, "proxy_cpu_us_per_mb": {}}
    for _ in range(args.rounds):
        for kind in (Tproxy, Socat, Redsocks, Direct):
            proxy, name = kind(net, args.build, socks_port), kind.__name__.lower()
            before = core.spent(proxy), proxy_ns(proxy)
            speed, after = download(net, proxy, port, megabytes, lambda: (core.spent(proxy), proxy_ns(proxy)))
            proxy.close()
            figures["wall"].setdefault(name, []).append(speed)
            figures["proxy_cpu_us_per_mb"].setdefault(name, []).append((after[1] - before[1]) / megabytes / 1e3)
            if after[0] is not None:
                figures["by_cpu"].setdefault(name, []).append(megabytes * 1e9 / (after[0] - before[0]))
    return figures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mb", type=int, default=1000, help="of one download; a tenth through microsocks")
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
    web = start(net.server, sys.executable, "-c", WEB_SERVER, SERVER, str(WEB))
    running = [web, start(net.server, "microsocks", "-i", SERVER, "-p", "1080"),
               start(net.server, f"{args.build}/bench/bench_tproxy_sink", SERVER, "1081")]
    report = {"unit": "MB/s", "rounds": args.rounds, "mb": args.mb, "paths": []}
    try:
        for port in (1080, 1081, WEB):
            wait_port(net.proxy, SERVER, port)
        core = Core(args.core, running)
        for control in dict.fromkeys((congestion_control(net), "reno")):
            congestion_control(net, control)
            for server in ("microsocks", "sink"):
                figures = compare(net, args, core, server)
                show(control, server, figures)
                report["paths"].append({"server": server, "congestion_control": control, **figures})
        stop(running.pop())
        report["memory"] = memory(net, args.build, args.connections)
        print(json.dumps(report["memory"], indent=1))
    finally:
        for process in running:
            stop(process)
    if args.json:
        with open(args.json, "w") as f:
            json.dump(report, f, indent=1)


def show(control, server, figures):
    print(f"to {server}, {control}:")
    for name, values in figures["wall"].items():
        line = f"  {name:10} {statistics.median(values):8.0f} MB/s"
        if by_cpu := figures["by_cpu"].get(name):
            line += f" {statistics.median(by_cpu):8.0f} by CPU"
        line += f" {statistics.median(figures['proxy_cpu_us_per_mb'][name]):6.0f} us/MB its own"
        if name != "tproxy":
            for what in ("wall", "by_cpu"):
                if found := figures[what].get(name):
                    ratio = statistics.median(a / b for a, b in zip(figures[what]["tproxy"], found))
                    line += f"  tproxy is {ratio:.2f} x ({what})"
        print(line, flush=True)


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
