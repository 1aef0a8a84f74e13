"""Namespaces, mounts and pidfds from Python 3.11, which has no os.setns or os.unshare yet.

setns(2) changes the calling thread alone, so `in_netns` does its work on a thread of its own: what is
opened or started there belongs to that namespace, and the rest of the program never leaves its own.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Callable, Iterable, Optional, Sequence, TypeVar

T = TypeVar("T")

CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
MS_SHARED = 1 << 20
MNT_DETACH = 2
PR_SET_PDEATHSIG = 1

RUN_NETNS = Path("/run/netns")
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_libc = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    """Something the user can read and act upon."""


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), f"unshare({flags:#x})")


def setns(fd: int, kind: int) -> None:
    _check(_libc.setns(fd, kind), "setns")


def mount(source: str, target: str, kind: Optional[str], flags: int, data: Optional[str] = None) -> None:
    encode = lambda text: None if text is None else os.fsencode(text)  # noqa: E731
    result = _libc.mount(encode(source), encode(target), encode(kind), ctypes.c_ulong(flags), encode(data))
    _check(result, f"mount {source} on {target}")


def die_with_parent() -> None:
    _check(_libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL), "prctl")


def unmount(target: str) -> None:
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), f"umount {target}")


# --- network namespaces -----------------------------------------------------------------------------


def pin_of(netns: str) -> Path:
    return RUN_NETNS / netns


def share_netns_directory() -> None:
    """Makes /run/netns a shared mount, as `ip netns add` and the product do with their first pin.

    Before any pin is there: one made earlier would be doubled by the bind, and could not be removed.
    """
    try:
        mount("", str(RUN_NETNS), None, MS_SHARED | MS_REC)
    except OSError:
        mount(str(RUN_NETNS), str(RUN_NETNS), None, MS_BIND | MS_REC)
        mount("", str(RUN_NETNS), None, MS_SHARED | MS_REC)


def remove_netns_directory() -> None:
    """Undoes share_netns_directory() and the directory, unless others have pins there by now."""
    if any(RUN_NETNS.iterdir()):
        return
    try:
        unmount(str(RUN_NETNS))
    except OSError:
        pass  # it was no mount
    RUN_NETNS.rmdir()


def make_netns(netns: str) -> None:
    """Pins a new namespace as /run/netns/NETNS."""
    pin = pin_of(netns)
    os.close(os.open(pin, os.O_CREAT | os.O_EXCL | os.O_RDONLY, 0o444))

    def make() -> None:
        unshare(CLONE_NEWNET)
        mount(f"/proc/self/task/{threading.get_native_id()}/ns/net", str(pin), None, MS_BIND)

    try:
        on_thread(make)
    except BaseException:
        pin.unlink()
        raise


def remove_netns(netns: str) -> None:
    """Undoes make_netns as far as it came; a namespace that is not there is no error."""
    pin = pin_of(netns)
    try:
        unmount(str(pin))
    except OSError:
        pass  # only the file was made, or nothing
    pin.unlink(missing_ok=True)


def on_thread(work: Callable[[], T]) -> T:
    """Runs `work` on a thread that ends with it, and so takes its namespaces with it."""
    results: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            results.append(work())
        except BaseException as error:  # carried over to the caller's thread
            errors.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def enter_netns(netns: str) -> None:
    fd = os.open(pin_of(netns), os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(fd, CLONE_NEWNET)
    finally:
        os.close(fd)


def in_netns(netns: Optional[str], work: Callable[[], T]) -> T:
    """`work()` in a pinned namespace; None is the caller's own."""
    if netns is None:
        return work()

    def inside() -> T:
        enter_netns(netns)
        return work()

    return on_thread(inside)


def run(
    argv: Sequence[str],
    netns: Optional[str] = None,
    stdin: str = "",
    timeout: float = 30,
    directory: Optional[Path] = None,
) -> str:
    """A tool's output; its failure is a LabError with what it said. The tool ends with its caller."""
    caller = os.getpid()

    def end_with_caller() -> None:
        die_with_parent()
        if os.getppid() != caller:  # it died before it could be tied to
            os._exit(1)

    def call() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=directory,
            preexec_fn=end_with_caller,
        )

    try:
        done = in_netns(netns, call)
    except FileNotFoundError as error:
        raise LabError(f"{error.filename}: not installed (./dev setup installs what the lab needs)") from None
    if done.returncode != 0:
        where = f" in {netns}" if netns else ""
        raise LabError(f"{' '.join(argv)}{where}: exit {done.returncode}\n{done.stdout}{done.stderr}{stdin}")
    return done.stdout


def ip_batch(netns: Optional[str], lines: Iterable[str]) -> None:
    run(["ip", "-batch", "-"], netns, "\n".join(lines) + "\n")


def write_sysctls(netns: str, values: dict[str, str]) -> None:
    def write() -> None:
        for key, value in values.items():
            Path("/proc/sys/net", key).write_text(value)

    in_netns(netns, write)


def socket_in(netns: Optional[str], family: int, kind: int, protocol: int = 0) -> socket.socket:
    return in_netns(netns, lambda: socket.socket(family, kind, protocol))


# --- processes --------------------------------------------------------------------------------------


def start_time(pid: int) -> Optional[int]:
    """Field 22 of /proc/PID/stat: with the pid it names one process for ever. None: no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(stat.rpartition(")")[2].split()[19])


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def open_process(pid: int, started: int) -> Optional[int]:
    """A pidfd for that very process, or None if it has ended (even if its pid is in use again)."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):  # a session or a thread has it
            return None
        raise
    if start_time(pid) == started and not is_zombie(pid):
        return fd
    os.close(fd)
    return None


def end_processes(processes: Iterable[tuple[int, int]], patience: float = 3.0) -> None:
    """SIGTERM to all at once, SIGKILL to those that are still there after `patience` seconds."""
    fds = [fd for pid, started in processes if (fd := open_process(pid, started)) is not None]
    try:
        remaining = _signal_and_wait(fds, signal.SIGTERM, patience)
        remaining = _signal_and_wait(remaining, signal.SIGKILL, 10.0)
        if remaining:
            raise LabError(f"{len(remaining)} processes do not end by SIGKILL")
    finally:
        for fd in fds:
            os.close(fd)


def _signal_and_wait(fds: list[int], number: int, patience: float) -> list[int]:
    for fd in fds:
        try:
            signal.pidfd_send_signal(fd, number)
        except ProcessLookupError:
            pass
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    remaining = set(fds)
    deadline = time.monotonic() + patience
    while remaining and (left := deadline - time.monotonic()) > 0:
        for fd, _ in poll.poll(left * 1000):
            poll.unregister(fd)
            remaining.discard(fd)
    return list(remaining)


def processes_in(netns: str) -> list[tuple[int, int, str]]:
    """(pid, start time, name) of every process whose main thread is in the pinned namespace."""
    pin = os.stat(pin_of(netns))
    found: list[tuple[int, int, str]] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            seen = os.stat(entry / "ns/net")
            name = (entry / "comm").read_text().strip()
        except OSError:
            continue  # it has ended meanwhile, or is a zombie
        started = start_time(int(entry.name))
        if (seen.st_dev, seen.st_ino) == (pin.st_dev, pin.st_ino) and started is not None:
            found.append((int(entry.name), started, name))
    return found


# No judgement, an end: what comes at all comes long before, also where other work slows the machine.
PATIENCE = 30.0  # seconds


def wait_until(what: str, condition: Callable[[], Optional[T]], timeout: float = PATIENCE, every: float = 0.02) -> T:
    """For conditions that the kernel offers no event for (a file's content, a socket that answers)."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not within {timeout:g} s")
        time.sleep(every)
