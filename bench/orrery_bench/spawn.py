"""A direct router with DHCP and DNS behind a ready universe, beside a bare crun container.

The clock of both runs from the first exec to the return of the last: for us one routerctl, which
returns when the router serves; for crun three `ip` and one `crun run -d`, which returns when the
container's program has been started, with the veth up. Down is the same in reverse.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from lab import linux

from .host import Host, run_timed
from .report import Report, Target, median, spread
from .settings import Settings

_GALAXY = """version = 1
network = "bench0"

[router.galaxy{n}]
kind   = "galaxy"
uplink = "universe0"
lan    = {{ address = "10.1.1.254/24", dhcp = {{ range = ["10.1.1.2", "10.1.1.253"], lease = "9000s" }} }}
egress = {{ type = "direct" }}
"""


class Crun:
    """A busybox that sleeps, in a netns with a veth to a bridge, made by `ip -batch`."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._bundle = host.directory / "bundle"
        self._state = str(host.directory / "crun")
        self._make_bundle()
        self._batches = {
            "out": "link add cbr0 type bridge\nlink set cbr0 up\n",
            "inside": "link set lo up\nlink set eth0 up\naddress add 10.9.0.2/24 dev eth0\nroute add default via 10.9.0.1\n",
        }
        for name, text in self._batches.items():
            (host.directory / name).write_text(text)
        self._ip("-batch", self._path("out"))

    def _path(self, name: str) -> str:
        return str(self._host.directory / name)

    def _make_bundle(self) -> None:
        root = self._bundle / "rootfs"
        needed = [Path("/usr/bin/busybox")]
        listed = subprocess.run(["ldd", "/usr/bin/busybox"], capture_output=True, text=True).stdout.split()
        needed += [Path(word) for word in listed if word.startswith("/")]
        for file in needed:
            place = root / file.relative_to("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, place)
        for name in ("proc", "sys", "dev", "tmp"):
            (root / name).mkdir(exist_ok=True)
        subprocess.run(["crun", "spec", "--bundle", str(self._bundle)], check=True, cwd=self._bundle)
        path = self._bundle / "config.json"
        config = json.loads(path.read_text())
        config["process"].update(terminal=False, args=["/usr/bin/busybox", "sleep", "1000000"])
        for namespace in config["linux"]["namespaces"]:
            if namespace["type"] == "network":
                namespace["path"] = "/run/netns/box"
        config["linux"].pop("resources", None)
        path.write_text(json.dumps(config))

    def _ip(self, *arguments: str) -> float:
        return run_timed(["/usr/sbin/ip", *arguments], self._host.log)

    def _crun(self, *arguments: str) -> float:
        # Without a cgroup: crun refuses the layout that has v1 and v2 (peers: no cgroup cost in it).
        return run_timed(
            ["/usr/bin/crun", "--root", self._state, "--cgroup-manager=disabled", *arguments], self._host.log
        )

    def up(self, turn: int) -> tuple[float, float]:
        """Milliseconds: all of it, and crun's own part."""
        # Under a name of its own: the last one is cleared away by the kernel some time after `down`.
        veth = f"link add cv{turn} type veth peer name eth0 netns box\nlink set cv{turn} master cbr0 up\n"
        (self._host.directory / "veth").write_text(veth)
        network = self._ip("netns", "add", "box")
        network += self._ip("-batch", self._path("veth"))
        network += self._ip("-n", "box", "-batch", self._path("inside"))
        own = self._crun("run", "-d", "--bundle", str(self._bundle), "box")
        return network + own, own

    def down(self) -> tuple[float, float]:
        own = self._crun("delete", "-f", "box")
        return own + self._ip("netns", "delete", "box"), own


def run(settings: Settings) -> Report:
    rounds = settings.rounds(quick=9, full=31)
    figures: dict[str, list[float]] = {}

    def note(**values: float) -> None:
        for name, value in values.items():
            figures.setdefault(name, []).append(value)

    with Host(settings) as host:
        host.spawn_universe()
        crun = Crun(host)
        same = host.define("same", _GALAXY.format(n=0))
        before = host.links()

        def settle() -> None:
            """What was removed is cleared away by the kernel later, with locks that the next one needs."""
            linux.wait_until("the last router's links to go", lambda: host.links() == before, every=0.002)

        for turn in range(rounds + 2):
            # A new name each time, as crun's veth has one: who takes the last one's waits for it.
            definition = host.define("galaxy", _GALAXY.format(n=turn + 1))
            ours_up = host.routerctl("spawn", definition)
            ours_down = host.routerctl("destroy", f"galaxy{turn + 1}")
            settle()
            host.routerctl("spawn", same)
            host.routerctl("destroy", "galaxy0")
            again = host.routerctl("spawn", same)
            host.routerctl("destroy", "galaxy0")
            settle()
            crun_up, crun_up_own = crun.up(turn)
            crun_down, crun_down_own = crun.down()
            settle()
            floor = run_timed(["/usr/bin/true"], host.log)
            version = host.routerctl("version")
            if turn < 2:
                continue  # caches are cold
            note(ours_up=ours_up, ours_down=ours_down, again=again, crun_up=crun_up, crun_down=crun_down)
            note(crun_up_own=crun_up_own, crun_down_own=crun_down_own, exec_true=floor, exec_routerctl=version)
    return _report(figures)


def _report(figures: dict[str, list[float]]) -> Report:
    report = Report("spawn", ("milliseconds, exec to return", "up", "middle half", "down", "middle half"))
    for name, up, down in (
        ("routerctl spawn / destroy (DHCP, DNS, ready)", "ours_up", "ours_down"),
        ("crun + netns, veth by ip -batch", "crun_up", "crun_down"),
        ("  of that crun run -d / delete -f", "crun_up_own", "crun_down_own"),
    ):
        cells = [f"{median(figures[up]):.1f}", spread(figures[up]), f"{median(figures[down]):.1f}", spread(figures[down])]
        report.rows.append((name, *cells))
    for name, key in (("destroyed and at once spawned again", "again"), ("one exec of true", "exec_true"), ("routerctl version", "exec_routerctl")):
        report.rows.append((name, f"{median(figures[key]):.1f}", spread(figures[key]), "", ""))

    def ratio(a: str, b: str) -> float:
        return median([x / y for x, y in zip(figures[a], figures[b])])

    report.targets = [
        Target("up / crun", ratio("ours_up", "crun_up"), most=1.0),
        Target("destroy / crun", ratio("ours_down", "crun_down"), most=1.0),
    ]
    report.facts = {"unit": "ms", "figures": figures}
    return report
