"""A program with mounts, a /run and a process table of its own, so that nothing of it can stay: when it
ends, or whoever started it is killed, the kernel ends every process in it, and with them go the pins,
the namespaces and the files below /run.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Sequence

from . import linux


def run(argv: Sequence[str]) -> int:
    """The program's exit code, or 128 + the signal that ended it."""
    linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWPID)
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
    init = os.fork()
    if init == 0:
        linux.die_with_parent()
        os._exit(_init(argv))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: os.kill(init, signal.SIGKILL))
    return _code(os.waitpid(init, 0)[1])


def _init(argv: Sequence[str]) -> int:
    """Process 1 in there: mounts, starts the program, buries orphans until the program has ended."""
    linux.mount("proc", "/proc", "proc", 0)
    linux.mount("tmpfs", "/run", "tmpfs", 0, "mode=0755")
    linux.RUN_NETNS.mkdir()
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
