"""The product on the fake host: routerctl, definitions of the lab, its processes, and waiting by its events."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Optional

from . import definitions, linux
from .client import Client
from .internet import Internet
from .linux import LabError

_DEFAULT_PROGRAMS = Path(__file__).resolve().parents[3] / "build/dev/bin"
_RUN = Path("/run/orrery")


def programs() -> Path:
    """ctest gives the path; by hand it is the developer's build."""
    return Path(os.environ.get("ORRERY_BIN", str(_DEFAULT_PROGRAMS)))


class Product:
    """Definitions are in `directory`, which is also where routerctl runs."""

    def __init__(self, lab: Internet) -> None:
        self.routerctl = programs() / "routerctl"
        if not self.routerctl.exists():
            raise LabError(f"{self.routerctl}: build routerctl, or name the programs' directory in ORRERY_BIN")
        self._lab = lab
        self.directory = lab.state / "definitions"
        definitions.write_definitions(self.directory, lab.facts)

    # --- routerctl ----------------------------------------------------------------------------------

    def ctl(self, *arguments: str, timeout: float = 90) -> subprocess.CompletedProcess[str]:
        """Any outcome is a result."""

        def call() -> subprocess.CompletedProcess[str]:
            argv = [str(self.routerctl), *arguments]
            environment = {"PATH": linux.SEARCH_PATH, "LANG": "C"}
            return subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
                cwd=self.directory,
                env=environment,
            )

        return linux.in_netns(self._lab.facts["host"]["netns"], call)

    def must(self, *arguments: str, timeout: float = 90) -> str:
        done = self.ctl(*arguments, timeout=timeout)
        if done.returncode != 0:
            raise LabError(f"routerctl {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def ask(self, *arguments: str) -> Any:
        return json.loads(self.must("--json", *arguments))

    def destroy_all(self) -> None:
        self.must("destroy", "--all")

    def fetch(self, router: str, url: str, *options: str, timeout: float = 30) -> dict[str, Any]:
        """The page, by `routerctl run ROUTER -- curl`: what the server saw."""
        limit = ["--max-time", f"{timeout:g}"]
        out = self.must("run", router, "--", "curl", "-sS", "--fail", *limit, *options, url, timeout=timeout + 5)
        seen: dict[str, Any] = json.loads(out)
        return seen

    def attach(self, client: Client, router: str, *options: str) -> dict[str, Any]:
        """`routerctl attach`: {"port": …, "interface": …, "mac": …, "address": …}."""
        return self.ask("attach", router, "--netns", client.netns, *options)

    def request(self, router: str, request: str, network: str = "network0") -> dict[str, Any]:
        """What the supervisor answers to one request on its control socket, as the portal's `newnym` and `egress`."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(10)
            sock.connect(str(_RUN / network / router / "control"))
            line = json.dumps({"schema": "orrery.control/1", "request": request, "args": {}})
            sock.sendall(line.encode() + b"\n")
            with sock.makefile("r") as lines:
                answer: dict[str, Any] = json.loads(next(lines))
        if not answer["ok"]:
            raise LabError(f"{router}: {request}: {answer}")
        return answer

    # --- processes and state ------------------------------------------------------------------------

    def processes(self, network: str = "network0") -> dict[str, int]:
        """"ROUTER/PROCESS" to pid, of every router: services, `supervisor` and `keeper`."""
        found: dict[str, int] = {}
        for state in self.ask("list")["routers"]:
            if state["network"] != network:
                continue
            router = state["router"]
            found[f"{router}/supervisor"] = state["supervisorPid"]
            keeper = (_RUN / network / router / "life" / "keeper.pid").read_text()
            found[f"{router}/keeper"] = int(keeper.split()[0])
            for service in state["services"]:
                found[f"{router}/{service['name']}"] = service["pid"]
        return found

    def wait_ready(self, router: str, timeout: float, network: str = "network0") -> float:
        """By the router's own events; a supervisor that is away is waited for. The seconds it took."""
        began = time.monotonic()
        deadline = began + timeout
        last = "no supervisor"
        while time.monotonic() < deadline:
            try:
                last = _follow_until_ready(_RUN / network / router / "control", deadline)
            except OSError as error:  # nobody listens, or the supervisor has ended
                last = str(error)
                time.sleep(0.02)  # the kernel offers no event for a listener that is to come
            if last == "ready":
                return time.monotonic() - began
        status = self.ctl("status", f"{network}.{router}").stdout
        raise LabError(f"{network}.{router}: not ready within {timeout:g} s: {last}\n{status}")


def documents(text: str) -> list[Any]:
    """Every JSON document of an output, whether one a line or over several lines."""
    decoder = json.JSONDecoder()
    found: list[Any] = []
    at = 0
    while at < len(text):
        document, at = decoder.raw_decode(text, at)
        found.append(document)
        while at < len(text) and text[at].isspace():
            at += 1
    return found


def _follow_until_ready(control: Path, deadline: float) -> str:
    """ "ready", or the phase when the time was up; an OSError when the supervisor goes away."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(max(0.01, deadline - time.monotonic()))
        sock.connect(str(control))
        sock.sendall(b'{"schema":"orrery.control/1","request":"events","args":{}}\n')
        phase: Optional[str] = None
        with sock.makefile("r") as lines:
            for line in lines:
                message = json.loads(line)
                if "ok" in message:
                    phase = message["result"]["phase"]
                elif message["event"] == "phase":
                    phase = message["fields"]["phase"]
                if phase == "ready":
                    return phase
        raise OSError(f"the supervisor went away in phase {phase}")
