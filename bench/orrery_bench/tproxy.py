"""bench/tproxy/run.py, judged."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .report import Report, Target, median
from .settings import Settings

_SCRIPT = Path(__file__).resolve().parents[1] / "tproxy/run.py"


_NAMES = ("tproxy", "socat", "redsocks", "direct")


def run(settings: Settings) -> Report:
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        argv = [sys.executable, "-B", str(_SCRIPT), "--build", str(settings.build), "--json", file.name]
        argv += ["--core", str(settings.core), "--rounds", str(settings.rounds(quick=5, full=11))]
        argv += ["--mb", "1000" if settings.full else "500"]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
        figures = json.loads(Path(file.name).read_text())
    report = Report("tproxy", ("MB/s, one download", "tproxy", "socat", "redsocks", "no proxy"), facts=figures)
    for path in figures["paths"]:
        _path(report, path)
    report.targets.append(Target("(to sink) / redsocks + microsocks", _stack(figures["paths"]), least=5.0))
    report.notes.append("'no proxy' is a client that speaks SOCKS5 itself: the server's own limit")
    _memory(report, figures["memory"])
    return report


def _path(report: Report, path: dict[str, Any]) -> None:
    name, speed = f"to {path['server']}, {path['congestion_control']}", path["wall"]
    report.rows.append((name, *(f"{median(speed[each]):.0f}" for each in _NAMES)))
    if path["by_cpu"]:
        report.rows.append(("  by the CPU time of all", *(f"{median(path['by_cpu'][each]):.0f}" for each in _NAMES)))
    own = path["proxy_cpu_us_per_mb"]
    report.rows.append(("  the proxy's own CPU, us/MB", *(f"{median(own[each]):.0f}" for each in _NAMES[:3]), ""))
    for peer, least in (("socat", 1.5), ("redsocks", 5.0)):
        report.targets.append(Target(f"/ {peer}, {name}", _ratio(speed["tproxy"], speed[peer]), least=least))
    limits = ", ".join(f"{each} {_ratio(speed[each], speed['direct']):.2f}" for each in _NAMES[:3])
    report.notes.append(f"{name}: of what a client without a proxy gets: {limits}")


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return median([a / b for a, b in zip(ours, theirs)])


def _stack(paths: list[dict[str, Any]]) -> float:
    sink, microsocks = ([path["wall"] for path in paths if path["server"] == server][0] for server in ("sink", "microsocks"))
    return _ratio(sink["tproxy"], microsocks["redsocks"])


def _memory(report: Report, memory: dict[str, Any]) -> None:
    count, full, empty = memory["connections"], memory["full"], memory["empty"]
    report.notes.append(
        f"{count} open connections: {memory['total_kib'] / 1024:.0f} MiB all told (cgroup {full['cgroup_kib'] / 1024:.0f}, "
        f"struct sock of accepted ones {memory['accepted_sockets_kib'] / 1024:.0f}), {memory['pipes']} pipes"
    )
    each = (full["pss_kib"] - empty["pss_kib"]) / count
    report.notes.append(f"{each:.2f} KiB of the proxy's own memory a connection")
    report.targets.append(Target("10,000 connections", memory["total_kib"] / count * 10000 / 1024, most=300, unit="MiB"))
