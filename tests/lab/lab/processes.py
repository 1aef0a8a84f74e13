"""The servers' processes: each is on record before it becomes its program, so that no crash of `up`
can leave one behind that `down` does not know.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Sequence

from . import linux
from .linux import LabError


@dataclass(frozen=True)
class Process:
    name: str
    pid: int
    started: int

    @property
    def alive(self) -> bool:
        return linux.start_time(self.pid) == self.started and not linux.is_zombie(self.pid)


class Ledger:
    """An append-only file of JSON lines, one process each."""

    def __init__(self, state: Path) -> None:
        self._file = state / "processes.jsonl"
        self._logs = state / "log"
        self._children: list[subprocess.Popen[bytes]] = []  # to be buried, if this process started them

    def processes(self) -> list[Process]:
        if not self._file.exists():
            return []
        # A line without its end was cut by a crash of the child that wrote it, before its exec.
        lines = self._file.read_text().split("\n")[:-1]
        return [Process(**json.loads(line)) for line in lines]

    def log_of(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def start(
        self,
        name: str,
        argv: Sequence[str],
        netns: str,
        mounts: Mapping[str, Path] = {},
        environment: Mapping[str, str] = {},
    ) -> subprocess.Popen[bytes]:
        """Starts a server in a namespace, in a session of its own, its output in log/NAME.log.

        `mounts` are bind mounts (target to source) that it alone sees. The child holds no copy of the
        pins in /run/netns: they would keep namespaces alive that others have removed.
        """

        def become() -> None:
            record = {"name": name, "pid": os.getpid(), "started": linux.start_time(os.getpid())}
            fd = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.write(fd, (json.dumps(record) + "\n").encode())
            os.close(fd)
            confine(netns, mounts)

        try:
            with open(self.log_of(name), "ab") as log:
                process = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={"PATH": linux.SEARCH_PATH, "LANG": "C", **environment},
                    cwd="/",
                    start_new_session=True,
                    preexec_fn=become,
                )
        except FileNotFoundError:
            raise LabError(f"{argv[0]}: not installed (./dev setup installs what the lab needs)") from None
        self._children.append(process)
        return process

    def wait_for_log(
        self, process: subprocess.Popen[bytes], name: str, text: str, timeout: float = linux.PATIENCE
    ) -> None:
        """Until the server has said `text`; its end, or silence, is an error that shows its log."""

        def said() -> bool:
            if process.poll() is not None:
                raise LabError(f"{name} ended with {process.returncode}:\n{self.tail(name)}")
            return text in self.log_of(name).read_text(errors="replace")

        try:
            linux.wait_until(f'{name} saying "{text}"', said, timeout)
        except LabError as error:
            raise LabError(f"{error}\n{self.tail(name)}") from None

    def wait_for_port(self, process: subprocess.Popen[bytes], name: str, netns: str, address: str, port: int) -> None:
        """For servers that say nothing: until a TCP connection is taken."""

        def takes() -> bool:
            if process.poll() is not None:
                raise LabError(f"{name} ended with {process.returncode}:\n{self.tail(name)}")
            with linux.socket_in(netns, socket.AF_INET, socket.SOCK_STREAM) as sock:
                return sock.connect_ex((address, port)) == 0

        linux.wait_until(f"{name} at {address}:{port}", takes)

    def tail(self, name: str, lines: int = 15) -> str:
        text = self.log_of(name).read_text(errors="replace")
        return "\n".join(f"  {name}: {line}" for line in text.splitlines()[-lines:])

    def end_all(self) -> None:
        linux.end_processes((p.pid, p.started) for p in self.processes())
        while self._children:
            self._children.pop().wait()


def confine(netns: str, mounts: Mapping[str, Path]) -> None:
    """In a child before its exec: the namespace, and mounts (target to source) that it alone sees."""
    linux.enter_netns(netns)
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
    for pin in linux.RUN_NETNS.iterdir():
        try:
            linux.unmount(str(pin))
        except OSError:
            pass  # a plain file, or somebody's pin that went meanwhile
    for target, source in mounts.items():
        linux.mount(str(source), target, None, linux.MS_BIND)
