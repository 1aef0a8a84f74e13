"""A private Tor network: three authorities, relays, exits and an onion service, each a real tor with an
address of its own in lab-net.

What makes it quick and certain:
- All nodes start just after a multiple of the initial voting interval. Authorities vote 4 s before the
  next multiple, and one that started in between would vote at once, with nothing to vote on.
- AssumeReachable: otherwise a relay publishes only after a self-test that needs a consensus.
- Nodes first ask for a consensus when it is there; asking earlier they get 404 and back off.
"""

from __future__ import annotations

import re
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from . import linux, plan
from .linux import LabError
from .processes import Ledger

INITIAL_INTERVAL = 10  # seconds; 5 was seen to miss its first vote half of the time
_ANSWERS_WITHIN = 60  # seconds, on a machine under load

_NODE = """TestingTorNetwork 1
DataDirectory {directory}
Nickname {name}
Address {address}
OutboundBindAddress {address}
SocksPort 0
ControlPort unix:{directory}/control
CookieAuthentication 0
Log notice stdout
SafeLogging 0
NumCPUs 1
"""

_RELAY = """ORPort {address}:5000
ContactInfo lab@lab.invalid
AssumeReachable 1
DirCache 1
TestingServerConsensusDownloadInitialDelay 11
ServerDNSResolvConfFile {resolv}
ServerDNSDetectHijacking 0
ServerDNSTestAddresses
"""

_AUTHORITY = """AuthoritativeDirectory 1
V3AuthoritativeDirectory 1
DirPort {address}:7000
V3AuthVotingInterval 20
V3AuthVoteDelay 4
V3AuthDistDelay 4
TestingV3AuthInitialVotingInterval 10
TestingV3AuthInitialVoteDelay 2
TestingV3AuthInitialDistDelay 2
TestingAuthDirTimeToLearnReachability 0
TestingMinExitFlagThreshold 0
TestingDirAuthVoteGuard *
TestingDirAuthVoteHSDir *
TestingDirAuthVoteExit {exits}
AuthDirMaxServersPerAddr 0
"""

_ONION = """HiddenServiceDir {directory}/onion
HiddenServicePort 80 {http}:80
"""


@dataclass(frozen=True)
class Node:
    name: str
    address: str
    kind: str  # "authority", "relay", "exit" or "onion"

    @property
    def is_relay(self) -> bool:
        return self.kind != "onion"


def nodes() -> list[Node]:
    listed = (("authority", plan.TOR_AUTHORITIES), ("relay", plan.TOR_RELAYS), ("exit", plan.TOR_EXITS))
    relays = [Node(f"{kind}{i}", a, kind) for kind, addresses in listed for i, a in enumerate(addresses)]
    return [*relays, Node("onion", plan.TOR_ONION, "onion")]


class TorNetwork:
    def __init__(self, ledger: Ledger, state: Path) -> None:
        self._ledger = ledger
        self._directory = state / "tor"
        self._empty = self._directory / "empty"  # keeps Debian's defaults out; /dev/null is refused here
        self._torrc = state / "client.torrc"
        self._resolv = state / "resolv.net"
        self._nodes = nodes()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.fingerprints: dict[str, str] = {}

    def start(self) -> None:
        """Keys, then every node at the right moment. Returns with the nodes started, not yet agreed."""
        self._directory.mkdir(mode=0o700)
        self._empty.touch()
        relays = [node for node in self._nodes if node.is_relay]
        with ThreadPoolExecutor(4) as pool:
            prints = list(pool.map(self._make_keys, relays))
        self.fingerprints = {node.name: text for node, text in zip(relays, prints)}
        authorities = "".join(self._dir_authority(n) + "\n" for n in relays if n.kind == "authority")
        self._torrc.write_text("TestingTorNetwork 1\n" + authorities)
        for node in self._nodes:
            self._write_torrc(node, authorities)
        time.sleep(INITIAL_INTERVAL - time.time() % INITIAL_INTERVAL)  # the protocol's own clock
        for node in relays:
            self._start_node(node)

    def wait(self, report: Callable[[str], None]) -> str:
        """Until an exit has a consensus of all nodes and the onion service is published: its name."""
        exit_node = next(node for node in self._nodes if node.kind == "exit")
        relays = [node for node in self._nodes if node.is_relay]
        with Control(self._data(exit_node), self._alive(exit_node)) as control:
            control.wait_for("NEWCONSENSUS", lambda: control.count_of_routers() == len(relays), 60)
        report("Tor: consensus of all nodes")
        onion = next(node for node in self._nodes if node.kind == "onion")
        self._start_node(onion)  # not sooner: a client that asks too early backs off
        with Control(self._data(onion), self._alive(onion)) as control:
            control.wait_for("HS_DESC", lambda: _all_uploaded(control.heard), 60)
        return (self._data(onion) / "onion/hostname").read_text().strip()

    def _data(self, node: Node) -> Path:
        return self._directory / node.name

    def _log_name(self, node: Node) -> str:
        return f"tor-{node.name}"

    def _alive(self, node: Node) -> Callable[[], None]:
        def check() -> None:
            code = self._processes[node.name].poll()
            if code is not None:
                name = self._log_name(node)
                raise LabError(f"{name} ended with {code}:\n{self._ledger.tail(name)}")

        return check

    def _make_keys(self, node: Node) -> str:
        """The relay's fingerprint; an authority gets its certificate too."""
        data = self._data(node)
        (data / "keys").mkdir(mode=0o700, parents=True)
        data.chmod(0o700)
        if node.kind == "authority":
            address = f"{node.address}:{plan.TOR_DIR_PORT}"
            identity = ["--create-identity-key", "-m", "1", "-a", address, "--passphrase-fd", "0"]
            linux.run(["tor-gencert", *identity], stdin="lab\n", timeout=180, directory=data / "keys")
        empty = str(self._empty)
        options = ["-f", empty, "--defaults-torrc", empty, "--DataDirectory", str(data), "--Nickname", node.name]
        options += ["--ORPort", str(plan.TOR_OR_PORT), "--Address", node.address]
        said = linux.run(["tor", *options, "--list-fingerprint", "--hush"])
        last = said.splitlines()[-1]  # warnings come before it
        return "".join(last.split()[1:])  # "authority0 ABCD EF01 …", in groups of four

    def _dir_authority(self, node: Node) -> str:
        certificate = (self._data(node) / "keys/authority_certificate").read_text()
        identity = re.search(r"^fingerprint ([0-9A-F]{40})$", certificate, re.MULTILINE)
        if identity is None:
            raise LabError(f"{node.name}: no fingerprint in its certificate")
        flags = f"orport={plan.TOR_OR_PORT} no-v2 v3ident={identity[1]}"
        return f"DirAuthority {node.name} {flags} {node.address}:{plan.TOR_DIR_PORT} {self.fingerprints[node.name]}"

    def _write_torrc(self, node: Node, authorities: str) -> None:
        values = {
            "directory": self._data(node),
            "name": node.name,
            "address": node.address,
            "resolv": self._resolv,
            "exits": ",".join(plan.TOR_EXITS),
            "http": plan.HTTP,
        }
        # Not "the subnets of the lab": a policy that is not "all" reads as "no port" in the summary.
        policy = {"exit": "ExitRelay 1\nExitPolicy accept *:*\n"}
        text = _NODE.format(**values) + authorities
        if node.is_relay:
            text += _RELAY.format(**values) + policy.get(node.kind, "ExitRelay 0\nExitPolicy reject *:*\n")
        if node.kind == "authority":
            text += _AUTHORITY.format(**values)
        if node.kind == "onion":
            text = text.replace(f"Address {node.address}\n", "", 1) + _ONION.format(**values)
        self._data(node).mkdir(mode=0o700, exist_ok=True)
        (self._data(node) / "torrc").write_text(text)

    def _start_node(self, node: Node) -> None:
        argv = ["tor", "--defaults-torrc", str(self._empty), "-f", str(self._data(node) / "torrc")]
        self._processes[node.name] = self._ledger.start(self._log_name(node), argv, plan.NET)


def _all_uploaded(heard: str) -> bool:
    """A client asks any of the directories: each upload that was begun must have ended."""
    done = heard.count("HS_DESC UPLOADED ")
    return done > 0 and done + heard.count("HS_DESC FAILED ") >= heard.count("HS_DESC UPLOAD ")


class Control:
    """A control connection, just large enough to wait for an event."""

    def __init__(self, data: Path, check_alive: Callable[[], None]) -> None:
        self._path = data / "control"
        self._check_alive = check_alive
        self._buffer = b""
        self.heard = ""

    def __enter__(self) -> Control:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        linux.wait_until(f"{self._path}", self._connected, 10)
        self.ask("AUTHENTICATE")
        return self

    def __exit__(self, *unused: object) -> None:
        self._socket.close()

    def _connected(self) -> bool:
        self._check_alive()
        try:
            self._socket.connect(str(self._path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True

    def _line(self, timeout: float) -> str:
        self._socket.settimeout(timeout)
        while b"\r\n" not in self._buffer:
            data = self._socket.recv(65536)
            if not data:
                self._check_alive()
                raise LabError(f"{self._path}: closed")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        return line.decode(errors="replace")

    def _block(self, timeout: float) -> list[str]:
        """One line, or with "NNN+" all lines of its data ("." ends them)."""
        lines = [self._line(timeout)]
        if lines[0][3:4] == "+":
            while lines[-1] != ".":
                lines.append(self._line(_ANSWERS_WITHIN))
        return lines

    def ask(self, command: str) -> list[str]:
        """The reply's lines; events that come in between are kept in `heard`."""
        self._socket.sendall(command.encode() + b"\r\n")
        reply: list[str] = []
        while True:
            block = self._block(_ANSWERS_WITHIN)
            if block[0].startswith("650"):
                self.heard += block[0] + "\n"
                continue
            reply += block
            if block[0].startswith("250 "):
                return reply
            if block[0][0] in "45":
                raise LabError(f"tor: {command}: {block[0]}")

    def count_of_routers(self) -> int:
        return sum(line.startswith("r ") for line in self.ask("GETINFO ns/all"))

    def wait_for(self, event: str, condition: Callable[[], bool], timeout: float) -> None:
        self.ask(f"SETEVENTS {event}")
        deadline = time.monotonic() + timeout
        while not condition():
            try:
                self.heard += self._block(max(0.01, deadline - time.monotonic()))[0] + "\n"
            except TimeoutError:
                raise LabError(f"tor {self._path.parent.name}: no {event} within {timeout:g} s") from None
