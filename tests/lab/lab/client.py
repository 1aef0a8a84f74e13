"""A client of a router: a namespace with one link, a resolv.conf of its own, and stock programs."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Optional, Sequence

from . import linux, wires
from .internet import Internet
from .linux import LabError
from .processes import confine

INTERFACE = "eth0"

# For udhcpc and dhclient: configures the link, and leaves the lease where it is waited for.
_DHCP_SCRIPT = """#!/bin/sh
case "$1$reason" in
bound|renew)
  prefix=$mask routers=$router resolvers=$dns from=$serverid seconds=$lease ;;
BOUND|RENEW|REBIND|REBOOT)
  ip=$new_ip_address mask=$new_subnet_mask routers=$new_routers resolvers=$new_domain_name_servers
  from=$new_dhcp_server_identifier seconds=$new_dhcp_lease_time prefix=$mask ;;
deconfig|PREINIT) /usr/sbin/ip link set "$interface" up; exit 0 ;;
*) exit 0 ;;
esac
set -e
/usr/sbin/ip address replace "$ip/$prefix" dev "$interface"
set -- $routers
[ -z "$1" ] || /usr/sbin/ip route replace default via "$1" dev "$interface"
: > '{directory}/resolv.conf'
for server in $resolvers; do echo "nameserver $server" >> '{directory}/resolv.conf'; done
echo "$ip $prefix ${{1:--}} $from $seconds $resolvers" > '{directory}/lease.new'
mv '{directory}/lease.new' '{directory}/lease'
"""


@dataclass(frozen=True)
class Lease:
    address: str
    prefix: int
    router: Optional[str]
    server: str
    seconds: int
    dns: tuple[str, ...]


@dataclass(frozen=True)
class Download:
    sha256: str
    length: int
    seconds: float

    @property
    def megabytes_per_second(self) -> float:
        return self.length / self.seconds / 1e6


class Client:
    """`lab-NAME`, removed by `close`, by the end of a with block, or by the lab's `down`."""

    def __init__(self, lab: Internet, name: str) -> None:
        self.netns = f"lab-{name}"
        self._lab = lab
        self._children: list[subprocess.Popen[bytes]] = []
        self.directory = lab.state / "clients" / name
        self.directory.mkdir(parents=True)
        self.resolv = self.directory / "resolv.conf"
        self.resolv.write_text("")
        lab.add_namespace(self.netns)
        wires.prepare_namespace(self.netns, forwards=False)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def close(self) -> None:
        left = linux.processes_in(self.netns)
        linux.end_processes((pid, started) for pid, started, _ in left)
        while self._children:
            self._children.pop().wait()
        linux.remove_netns(self.netns)
        shutil.rmtree(self.directory)

    # --- its link -----------------------------------------------------------------------------------

    def attach(self, routerctl: Path, router: str) -> None:
        """By the product: `routerctl attach ROUTER --netns …`, run on the fake host."""
        linux.run([str(routerctl), "attach", router, "--netns", self.netns], self._lab.facts["host"]["netns"])

    def attach_by_hand(self, router_netns: str, bridge: str, port: str, mac: Optional[str] = None) -> None:
        """A veth from `eth0` here to an isolated port of a bridge in a pinned namespace."""
        address = f"address {mac}" if mac else ""
        linux.ip_batch(
            router_netns,
            [
                f"link add {port} type veth peer name {INTERFACE} {address} netns {self.netns}",
                f"link set {port} master {bridge} up",
                f"link set {port} type bridge_slave isolated on",
            ],
        )
        linux.ip_batch(self.netns, [f"link set {INTERFACE} up"])

    def take_nic(self, nic: str) -> None:
        """Plays the router: the fake host's NIC moves here. It ends with the namespace (lab.replug)."""
        host = self._lab.facts["host"]["netns"]
        linux.ip_batch(host, [f"link set {nic} netns {self.netns} name {INTERFACE}"])
        linux.ip_batch(self.netns, [f"link set {INTERFACE} up"])

    # --- DHCP ---------------------------------------------------------------------------------------

    def udhcpc(self, timeout: float = 10) -> Lease:
        argv = ["udhcpc", "-f", "-q", "-n", "-t", "10", "-T", "1", "-i", INTERFACE, "-s", str(self._script())]
        self._output(argv, timeout)
        return self._lease()

    def dhclient(self, timeout: float = 15) -> Lease:
        files = ["-lf", str(self.directory / "leases"), "-pf", str(self.directory / "pid"), "-cf", "/dev/null"]
        script = str(self._script())
        process = self.start(["dhclient", "-4", "-1", "-d", "-sf", script, *files, INTERFACE])
        try:
            linux.wait_until("a lease by dhclient", (self.directory / "lease").exists, timeout)
        finally:
            process.kill()  # a lease once taken stays; SIGTERM would keep it too
            process.wait()
        return self._lease()

    def _script(self) -> Path:
        (self.directory / "lease").unlink(missing_ok=True)
        script = self.directory / "dhcp.sh"
        script.write_text(_DHCP_SCRIPT.format(directory=self.directory))
        script.chmod(0o755)
        return script

    def _lease(self) -> Lease:
        address, mask, router, server, seconds, *dns = (self.directory / "lease").read_text().split()
        prefix = int(mask) if mask.isdigit() else IPv4Network(f"0.0.0.0/{mask}").prefixlen
        return Lease(address, prefix, None if router == "-" else router, server, int(seconds), tuple(dns))

    # --- programs -----------------------------------------------------------------------------------

    def start(self, argv: Sequence[str], stdout: Any = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """Ends with the caller's wait or kill, at the latest with `close`."""
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE if stdout == subprocess.PIPE else subprocess.DEVNULL,
            env={"PATH": linux.SEARCH_PATH, "LANG": "C"},
            preexec_fn=lambda: confine(self.netns, {"/etc/resolv.conf": self.resolv}),
        )
        self._children.append(process)
        return process

    def run(self, argv: Sequence[str], timeout: float = 30) -> subprocess.CompletedProcess[str]:
        """Any outcome is a result, a timeout too (exit 124): tests that expect failure need it."""
        with self.start(argv, subprocess.PIPE) as process:
            try:
                out, err = process.communicate(timeout=timeout)
                code = process.returncode
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
                code = 124
        return subprocess.CompletedProcess(argv, code, out.decode(errors="replace"), err.decode(errors="replace"))

    def _output(self, argv: Sequence[str], timeout: float) -> str:
        done = self.run(argv, timeout)
        if done.returncode != 0:
            raise LabError(f"{' '.join(argv)} in {self.netns}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def fetch(self, url: str, *options: str, timeout: float = 20) -> dict[str, Any]:
        """The page, by curl: what the server saw, {"address": …, "port": …, "path": …}."""
        argv = ["curl", "-sS", "--fail", "--noproxy", "", "--max-time", f"{timeout:g}", *options, url]
        seen: dict[str, Any] = json.loads(self._output(argv, timeout + 5))
        return seen

    def download(self, url: str, *options: str, timeout: float = 120) -> Download:
        argv = ["curl", "-sS", "--fail", "--max-time", f"{timeout:g}", *options, url]
        digest = hashlib.sha256()
        length = 0
        began = time.monotonic()
        with self.start(argv, subprocess.PIPE) as process:
            assert process.stdout is not None and process.stderr is not None
            while data := process.stdout.read1(1 << 20):  # type: ignore[attr-defined]
                digest.update(data)
                length += len(data)
            error = process.stderr.read().decode(errors="replace")
        if process.returncode != 0:
            raise LabError(f"curl {url} in {self.netns}: exit {process.returncode} after {length} bytes\n{error}")
        return Download(digest.hexdigest(), length, time.monotonic() - began)

    def dig(self, name: str, kind: str = "A", server: Optional[str] = None, tcp: bool = False) -> list[str]:
        """The answers, [] for none; an error if nobody answered."""
        to = [f"@{server}"] if server else []
        how = ["+tcp"] if tcp else []
        return self._output(["dig", "+short", "+tries=1", "+time=5", *how, *to, name, kind], 10).split("\n")[:-1]

    def udp_echo(self, payload: bytes, address: str, port: int, timeout: float = 2) -> bool:
        with linux.socket_in(self.netns, socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(timeout)
            try:
                sock.sendto(payload, (address, port))
                return sock.recv(65535) == payload
            except OSError:  # a timeout, or refused by an ICMP error
                return False

    def pings(self, address: str) -> bool:
        return self.run(["ping", "-n", "-c", "1", "-W", "2", address], 5).returncode == 0
