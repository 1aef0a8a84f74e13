"""A program with mounts, a /run, a /var/lib/orrery, cgroups and a process table of its own, so that nothing
of it can stay and several can run at once: when it ends, or whoever started it is killed, the kernel ends
every process in it, and with them go the pins, the namespaces and the files. Its cgroups are left empty
if we are killed; the next isolated program removes them.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Iterator, Sequence

from . import linux


_CGROUPS = Path("/sys/fs/cgroup")
_GROUP = "orrery-lab-"  # followed by the process that made it: PID-START
_STATE = Path("/var/lib/orrery")


def run(argv: Sequence[str]) -> int:
    """The program's exit code, or 128 + the signal that ended it."""
    _remove_stale_groups()
    group = f"{_GROUP}{os.getpid()}-{linux.start_time(os.getpid())}"
    try:
        return _isolated(argv, group)
    finally:
        for tree in _cgroup_trees():
            _remove_group(tree / group)


def _isolated(argv: Sequence[str], group: str) -> int:
    linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWPID)
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
    init = os.fork()
    if init == 0:
        linux.die_with_parent()
        os._exit(_init(argv, group))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: os.kill(init, signal.SIGKILL))
    return _code(os.waitpid(init, 0)[1])


def _cgroup_trees() -> Iterator[Path]:
    """The mounted hierarchies: one of cgroup v2, or several of v1."""
    if (_CGROUPS / "cgroup.procs").exists():
        yield _CGROUPS
    elif _CGROUPS.is_dir():
        yield from (tree for tree in _CGROUPS.iterdir() if (tree / "cgroup.procs").exists())


def _cover_cgroups(group: str) -> None:
    """A group of ours in each hierarchy, seen in there as the whole of it."""
    for tree in list(_cgroup_trees()):
        own = tree / group
        own.mkdir()
        for file in ("cpuset.cpus", "cpuset.mems"):  # v1: empty at first, and takes no process then
            if (tree / file).exists():
                (own / file).write_text((tree / file).read_text())
        if (own / "cgroup.controllers").exists() and (available := (own / "cgroup.controllers").read_text()):
            (own / "cgroup.subtree_control").write_text(" ".join(f"+{c}" for c in available.split()))
        linux.mount(str(own), str(tree), None, linux.MS_BIND)


def _cover_state() -> None:
    """No /var/lib/orrery, whatever the machine has. An overlay, so that none need be made there."""
    layers = linux.RUN_NETNS.parent / "isolated"
    for name in ("upper", "work"):
        (layers / name).mkdir(parents=True)
    parent = str(_STATE.parent)
    data = f"lowerdir={parent},upperdir={layers}/upper,workdir={layers}/work"
    linux.mount("overlay", parent, "overlay", 0, data)
    shutil.rmtree(_STATE, ignore_errors=True)


def _remove_group(group: Path) -> None:
    """A group that still has processes stays; they are about to end, and the next run tries again."""
    for directory, _, _ in os.walk(group, topdown=False):
        try:
            os.rmdir(directory)
        except OSError:
            pass


def _remove_stale_groups() -> None:
    for tree in _cgroup_trees():
        for group in tree.glob(f"{_GROUP}*"):
            pid, _, started = group.name[len(_GROUP) :].partition("-")
            if str(linux.start_time(int(pid))) != started:
                _remove_group(group)


def _init(argv: Sequence[str], group: str) -> int:
    """Process 1 in there: mounts, starts the program, buries orphans until the program has ended."""
    linux.unshare(linux.CLONE_NEWNS)  # the parent still sees the cgroups that it has to remove
    _cover_cgroups(group)
    linux.mount("proc", "/proc", "proc", 0)
    linux.mount("tmpfs", "/run", "tmpfs", 0, "mode=0755")
    linux.RUN_NETNS.mkdir()
    _cover_state()
    program = os.fork()
    if program == 0:
        try:
            os.execvp(argv[0], list(argv))
        except OSError as error:
            print(f"internet: {argv[0]}: {error.strerror}", file=sys.stderr)
            os._exit(127)
    while True:
        pid, status = os.wait()
        if pid == program:
            return _code(status)


def _code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
