"""bench/tproxy/run.py, judged."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from .report import Report, Target, median
from .settings import Settings

_SCRIPT = Path(__file__).resolve().parents[1] / "tproxy/run.py"


def run(settings: Settings) -> Report:
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        argv = [sys.executable, "-B", str(_SCRIPT), "--build", str(settings.build), "--json", file.name]
        argv += ["--core", str(settings.core), "--rounds", str(settings.rounds(quick=5, full=11))]
        argv += ["--mb", "400" if settings.full else "200", "--connections", "10000" if settings.full else "2000"]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
        figures = json.loads(Path(file.name).read_text())
    report = Report("tproxy", ("MB/s, one download", "tproxy", "socat", "redsocks", "no proxy"), facts=figures)
    for server, found in figures["servers"].items():
        middle = found["median"]
        cells = [f"{middle[name]:.0f}" for name in ("tproxy", "socat", "redsocks", "direct")]
        report.rows.append((f"to {server}", *cells))
        every, cpu = found["all"], found["cpu_us_per_mb"]
        spent = [f"{median(cpu[name]):.0f}" for name in ("tproxy", "socat", "redsocks")]
        report.rows.append(("  the proxy's own CPU, us/MB", *spent, ""))

        def ratio(peer: str) -> float:
            return median([ours / theirs for ours, theirs in zip(every["tproxy"], every[peer])])

        report.targets.append(Target(f"/ socat, to {server}", ratio("socat"), least=1.5))
        report.targets.append(Target(f"/ redsocks, to {server}", ratio("redsocks"), least=5.0))
        ceiling = median([ours / limit for ours, limit in zip(every["tproxy"], every["direct"])])
        report.notes.append(f"to {server}: {ceiling:.2f} of what a client without a proxy gets")
    sink, microsocks = (figures["servers"][name]["all"] for name in ("sink", "microsocks"))
    stack = median([ours / theirs for ours, theirs in zip(sink["tproxy"], microsocks["redsocks"])])
    report.targets.append(Target("(to sink) / redsocks + microsocks", stack, least=5.0))
    report.notes.append("'no proxy' is a client that speaks SOCKS5 itself: the server's own limit")
    memory = figures["memory"]
    report.notes.append(
        f"{memory['connections']} open connections: {memory['pss_full_kib'] / 1024:.1f} MiB PSS "
        f"({memory['pss_empty_kib'] / 1024:.1f} without), {memory['mem_available_delta_kib'] / 1024:.0f} MiB less "
        "available (with the client's and the server's sockets)"
    )
    each = (memory["pss_full_kib"] - memory["pss_empty_kib"]) / memory["connections"]
    held = memory["mem_available_delta_kib"] / memory["connections"] * 10000 / 1024
    report.notes.append(f"{each:.2f} KiB of the proxy's own memory a connection")
    report.targets.append(Target("10,000 connections, all sockets", held, most=300, unit="MiB"))
    return report
