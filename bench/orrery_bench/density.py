"""Many routers: memory of each, spawn time of the first and the last, wake-ups while idle, destroy.

They come in tenths, one `routerctl spawn` for each, and at most 100 stand behind one universe (a bridge
floods to all its ports). Memory is what MemAvailable lost, the kernel's included, from before the
first router to after the last; beside it what the processes hold (PSS) and what the slab grew by, since
other programs of the machine move MemAvailable too.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator

from .host import SERVER, Host
from .report import Report, Target
from .settings import Settings

_PER_BRIDGE = 100
_IDLE_SECONDS = 10
_EGRESS = {"direct": '{ type = "direct" }', "socks5": f'{{ type = "socks5", server = "{SERVER}:1080" }}'}


@dataclass(frozen=True)
class Batch:
    network: int  # bench0, bench1, …
    first: int
    count: int


def _batches(total: int) -> Iterator[Batch]:
    """Ten of equal size, none across two networks."""
    size = max(1, total // 10)
    for first in range(0, total, size):
        count = min(size, total - first)
        yield Batch(first // _PER_BRIDGE, first % _PER_BRIDGE, count)


def _definition(batch: Batch, egress: str) -> str:
    text = f'version = 1\nnetwork = "bench{batch.network}"\n'
    if batch.count == _PER_BRIDGE:
        return text + f'[router.galaxy]\ncount = {batch.count}\n' + _router("${n}", egress)
    for n in range(batch.first, batch.first + batch.count):
        text += f"[router.galaxy{n}]\n" + _router(str(n), egress)
    return text


def _router(n: str, egress: str) -> str:
    return (
        'kind   = "galaxy"\nuplink = "universe0"\n'
        f'lan    = {{ address = "10.1.{n}.254/24", dhcp = {{ range = ["10.1.{n}.2", "10.1.{n}.253"], lease = "9000s" }} }}\n'
        f"egress = {_EGRESS[egress]}\n"
    )


# --- what the kernel says -------------------------------------------------------------------------------


def _meminfo() -> dict[str, int]:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) for line in lines}


def _ours() -> list[int]:
    """All processes of this pid namespace but process 1, ourselves and our ancestors."""
    known = {1, os.getpid(), os.getppid()}
    return [pid for pid in (int(e.name) for e in Path("/proc").iterdir() if e.name.isdigit()) if pid not in known]


def _memory_of(pids: list[int]) -> dict[str, dict[str, int]]:
    """KiB by program: PSS and private."""
    found: dict[str, dict[str, int]] = {}
    for pid in pids:
        try:
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue  # it has ended
        sums = found.setdefault(name, {"processes": 0, "pss": 0, "private": 0})
        sums["processes"] += 1
        for key, value in re.findall(r"^(Pss|Private_Clean|Private_Dirty): +(\d+)", text, re.MULTILINE):
            sums["pss" if key == "Pss" else "private"] += int(value)
    return found


def _activity(pids: list[int]) -> tuple[int, int]:
    """Voluntary context switches and clock ticks of CPU time of all threads."""
    switches = ticks = 0
    for pid in pids:
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                switches += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", (task / "status").read_text(), re.MULTILINE)[1])
                fields = (task / "stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        except OSError:
            continue
    return switches, ticks


def _sample_calls(pids: list[int], seconds: int) -> str:
    """What one router's processes called meanwhile, by strace: '' for nothing."""
    report = Path("/run/bench.strace")
    argv = ["strace", "-f", "-c", "-q", "-o", str(report)]
    for pid in pids:
        argv += ["-p", str(pid)]
    tracer = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        tracer.wait(seconds)
    except subprocess.TimeoutExpired:
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
    text = report.read_text() if report.exists() else ""
    report.unlink(missing_ok=True)
    # Restarting what the attaching interrupted is no wake-up.
    calls = re.findall(r"(\d+)\s+(?:\d+\s+)?(\w+)$", text, re.MULTILINE)
    return ", ".join(f"{n} {name}" for n, name in calls if name not in ("total", "restart_syscall"))


# --- one population ------------------------------------------------------------------------------------


def _measure(settings: Settings, egress: str, total: int) -> dict[str, Any]:
    networks = -(-total // _PER_BRIDGE)
    with Host(settings, nics=networks) as host:
        for n in range(networks):
            host.spawn_universe(n)
        universes = _ours()
        before = _meminfo()
        times = []
        for batch in _batches(total):
            path = host.define(f"batch-{batch.network}-{batch.first}", _definition(batch, egress))
            times.append(host.routerctl("spawn", path) / batch.count)
        time.sleep(2)  # what a spawn leaves to RCU is freed a moment later, without an event
        after = _meminfo()
        pids = [pid for pid in _ours() if pid not in universes]
        programs = _memory_of(pids)
        idle = _idle(pids)
        sample = _sample_calls(pids[-3:], 5)
        destroyed = host.routerctl("destroy", "--all") / 1e3
    return {
        "egress": egress,
        "routers": total,
        "spawn_ms_each": times,
        "mem_available_kib_each": (before["MemAvailable"] - after["MemAvailable"]) / total,
        "slab_kib_each": (after["Slab"] - before["Slab"]) / total,
        "kernel_other_kib_each": sum(after[k] - before[k] for k in ("KernelStack", "PageTables", "Percpu")) / total,
        "pss_kib_each": sum(p["pss"] for p in programs.values()) / total,
        "programs": programs,
        "destroy_all_s": destroyed,
        **idle,
        "strace_of_one_router": sample or "nothing",
    }


def _idle(pids: list[int]) -> dict[str, float]:
    """Over an interval: there is no event to wait for, it is time itself that is measured."""
    switches, ticks = _activity(pids)
    time.sleep(_IDLE_SECONDS)
    switches_after, ticks_after = _activity(pids)
    return {
        "wakeups_per_second": (switches_after - switches) / _IDLE_SECONDS,
        "idle_cpu_percent": (ticks_after - ticks) / os.sysconf("SC_CLK_TCK") / _IDLE_SECONDS * 100,
    }


def run(settings: Settings) -> Report:
    counts = settings.routers_asked or ([20, 100, 1000] if settings.full else [20, 100])
    columns = ("routers", "ms each", "last/first", "KiB each", "PSS", "slab", "other", "wake-ups/s", "CPU %", "destroy s")
    report = Report("density", columns, facts={"populations": []})
    for egress in _EGRESS:
        for count in counts:
            found = _measure(settings, egress, count)
            report.facts["populations"].append(found)
            _tell(report, found)
            print("  " + "  ".join(report.rows[-1]), file=sys.stderr, flush=True)  # a run may be cut short
    return report


def _tell(report: Report, found: dict[str, Any]) -> None:
    times = found["spawn_ms_each"]
    growth = times[-1] / times[0]
    name = f"{found['routers']} {found['egress']}"
    each = found["mem_available_kib_each"]
    report.rows.append((
        name, f"{sum(times) / len(times):.1f}", f"{growth:.2f}", f"{each:.0f}", f"{found['pss_kib_each']:.0f}",
        f"{found['slab_kib_each']:.0f}", f"{found['kernel_other_kib_each']:.0f}",
        f"{found['wakeups_per_second']:.1f}", f"{found['idle_cpu_percent']:.1f}", f"{found['destroy_all_s']:.2f}",
    ))  # fmt: skip
    shares = ", ".join(f"{program} {sums['pss'] / found['routers']:.0f}" for program, sums in sorted(found["programs"].items()))
    report.notes.append(f"{name}: PSS KiB a router: {shares}; one router's calls in 5 s idle: {found['strace_of_one_router']}")
    if found["routers"] >= 100:
        report.targets.append(Target(f"memory each, {name}", each / 1024, most=3.0, unit="MiB"))
        report.targets.append(Target(f"last / first tenth, {name}", growth, most=1.3))
        report.targets.append(Target(f"wake-ups/s of all, {name}", found["wakeups_per_second"], most=0.0, unit="/s"))
    if found["routers"] >= 1000:
        report.targets.append(Target(f"destroy --all, {name}", found["destroy_all_s"], most=5.0, unit="s"))
