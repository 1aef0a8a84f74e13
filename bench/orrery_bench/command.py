"""The command line of bench/run.

The benchmarks run in a mount and pid namespace of their own (tests/lab/lab/isolation.py), so that
nothing of them can stay, and pinned to one core, which is what the targets are about. Each part is a
function of a Bench that returns a Report; one that fails does not keep the others from running.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Callable

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/lab"))

from lab import isolation  # noqa: E402

from . import density, forwarding, spawn, tproxy  # noqa: E402
from .report import Report, table, verdicts  # noqa: E402
from .settings import Settings  # noqa: E402

PARTS: dict[str, Callable[[Settings], Report]] = {
    "spawn": spawn.run,
    "density": density.run,
    "forwarding": forwarding.run,
    "tproxy": tproxy.run,
}


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    if os.geteuid() != 0:
        print("bench/run: needs root: it makes network namespaces", file=sys.stderr)
        return 4
    if not options.inside:
        inner = [sys.executable, "-B", str(ROOT / "bench/run"), "--inside", *arguments]
        return isolation.run(inner)
    return _measure(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--build", type=Path, default=ROOT / "build/release", help="whose bin/ and bench/ to use")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="full", action="store_false", default=False, help="few rounds, 20 and 100 routers (default)")
    size.add_argument("--full", action="store_true", help="many rounds, 1000 routers, 10,000 connections")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), help="everything runs on it")
    parser.add_argument("--rounds", type=int, help="in place of the size's own number")
    parser.add_argument("--routers", type=int, action="append", metavar="N", help="density: how many")
    parser.add_argument("--json", type=Path, default=ROOT / "build/bench.json", help="where the figures go")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser


def _measure(options: argparse.Namespace) -> int:
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        print(f"bench/run: no part '{unknown[0]}'; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    missing = [name for name in ("bin/routerctl", "bench/bench_packets") if not (options.build / name).exists()]
    if missing:
        print(f"bench/run: {options.build}/{missing[0]} does not exist; './dev build release' makes it", file=sys.stderr)
        return 1
    settings = Settings(options.build.resolve(), options.full, options.core, options.rounds, options.routers)
    _allow_descriptors()
    os.sched_setaffinity(0, {options.core})
    begun = {"date": time.strftime("%Y-%m-%d %H:%M:%S"), "load": os.getloadavg(), "machine": _machine(), "core": options.core}
    reports: list[Report] = []
    failed = False
    for part in options.parts or list(PARTS):
        print(f"{part} …", file=sys.stderr, flush=True)
        before = os.getloadavg()[0]
        try:
            report = PARTS[part](settings)
        except Exception:  # of one part: the others are still worth their time
            traceback.print_exc()
            failed = True
            continue
        report.facts["load"] = [before, os.getloadavg()[0]]
        reports.append(report)
    _write(options.json, begun, reports)
    for report in reports:
        print(table(report))
    print(verdicts(reports))
    return 1 if failed else 0


def _write(path: Path, begun: dict[str, Any], reports: list[Report]) -> None:
    document = {"schema": "orrery.bench/1", **begun, "parts": {report.part: report.document() for report in reports}}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")


def _allow_descriptors() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _machine() -> dict[str, Any]:
    model = next(
        (line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")),
        platform.machine(),
    )
    memory = int(Path("/proc/meminfo").read_text().split()[1])
    return {"cpu": model, "cpus": os.cpu_count(), "memory_kib": memory, "kernel": platform.release()}
