"""A fake host with NICs, a server on the other side of each, and universes on them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Optional, Sequence

from lab import linux

from .settings import Settings

HOST, NET = "bench-host", "bench-net"
SERVER = "198.19.0.9"  # reached by way of any universe

_UNIVERSE = """version = 1
network = "bench{n}"

[router.universe0]
kind   = "universe"
uplink = {{ nic = {{ mac = "52:54:00:be:00:{n:02x}" }}, address = "198.18.{n}.1/24", gateway = "198.18.{n}.254", dns = ["198.18.{n}.254"] }}
lan    = {{ address = "10.0.0.1/24", dhcp = {{ range = ["10.0.0.128", "10.0.0.254"], lease = "9000s" }} }}
"""


class CommandFailed(Exception):
    pass


def run_timed(argv: Sequence[str], log: Path) -> float:
    """Milliseconds from the start of a program to its end. What it says goes to `log`."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC)
    actions = [(os.POSIX_SPAWN_DUP2, out, 1), (os.POSIX_SPAWN_DUP2, out, 2)]
    begin = time.monotonic_ns()
    pid = os.posix_spawn(argv[0], list(argv), {"PATH": linux.SEARCH_PATH, "LC_ALL": "C"}, file_actions=actions)
    status = os.waitpid(pid, 0)[1]
    elapsed = (time.monotonic_ns() - begin) / 1e6
    os.close(out)
    if status != 0:
        raise CommandFailed(f"{' '.join(argv)}: exit {os.waitstatus_to_exitcode(status)}\n{log.read_text()}")
    return elapsed


class Host:
    """Makes itself the namespace of the calling process, so that every program starts there."""

    def __init__(self, settings: Settings, nics: int = 1) -> None:
        self.settings = settings
        self.directory = Path(tempfile.mkdtemp(prefix="bench.", dir="/run"))
        self.log = self.directory / "log"
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        linux.share_netns_directory()
        for name in (HOST, NET):
            linux.make_netns(name)
        self._make_wires(nics)
        linux.enter_netns(HOST)

    def _make_wires(self, nics: int) -> None:
        lines = ["link set lo up", f"address add {SERVER}/32 dev lo"]
        for n in range(nics):
            lines += [
                f"link add w{n} type veth peer name nic{n} address 52:54:00:be:00:{n:02x} netns {HOST}",
                f"address add 198.18.{n}.254/24 dev w{n}",
                f"link set w{n} up",
            ]
        quiet = {f"ipv6/conf/{scope}/disable_ipv6": "1" for scope in ("all", "default")}
        for name in (HOST, NET):
            linux.write_sysctls(name, quiet)
        linux.ip_batch(NET, lines)

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *unused: object) -> None:
        try:
            if Path("/run/orrery").exists():
                self.routerctl("destroy", "--all", "--force")
        finally:
            linux.setns(self._home, linux.CLONE_NEWNET)
            os.close(self._home)
            for name in (HOST, NET):
                linux.remove_netns(name)
            shutil.rmtree(self.directory)

    def routerctl(self, *arguments: str) -> float:
        """Milliseconds from exec to its return."""
        return run_timed([self.settings.routerctl, *arguments], self.log)

    def define(self, name: str, text: str) -> str:
        path = self.directory / f"{name}.toml"
        path.write_text(text)
        return str(path)

    def spawn_universe(self, n: int = 0) -> float:
        return self.routerctl("spawn", self.define(f"universe-{n}", _UNIVERSE.format(n=n)))

    def links(self) -> set[str]:
        """The host's, and the ports of its universe."""
        names: set[str] = set()
        for netns in (HOST, "bench0.universe0"):
            names |= {f"{netns}/{name}" for _, name in linux.in_netns(netns, socket.if_nameindex)}
        return names

    def start(self, argv: Sequence[str], netns: Optional[str] = None, **more: Any) -> subprocess.Popen[str]:
        """A program that the caller kills and waits for; it ends with this process at the latest."""
        more.setdefault("stdout", subprocess.DEVNULL)
        more.setdefault("stderr", subprocess.DEVNULL)
        return linux.in_netns(netns, lambda: subprocess.Popen(argv, text=True, stdin=subprocess.DEVNULL, **more))
