"""The state of a host, as text that compares: what was there before must be there after, and no more."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Callable, Iterable, Optional

from . import linux

Snapshot = dict[str, list[str]]  # section to sorted lines

FILE_ROOTS = ("/run/orrery", "/run/netns", "/run/multiverse", "/var/lib/orrery")

_PF_KTHREAD = 0x00200000

# They count or change by themselves.
_VOLATILE_SYSCTLS = ("netfilter/nf_conntrack_count", "ipv4/route/flush", "ipv6/route/flush")


def take(namespaces: Iterable[Optional[str]] = (None,)) -> Snapshot:
    """The machine's mounts, cgroups, processes and files, and the network of each namespace given (None
    is the caller's)."""
    snapshot = {
        "mounts": _mounts(),
        "cgroups": _cgroups(),
        "processes": _processes(),
        "files": _files(),
    }
    for netns in namespaces:
        for section, lines in linux.in_netns(netns, lambda: _network()).items():
            snapshot[f"{netns or 'own namespace'}: {section}"] = lines
    return snapshot


def difference(before: Snapshot, after: Snapshot, ignore: Callable[[str, str], bool] = lambda s, l: False) -> list[str]:
    """"SECTION: - line" for what is gone, "+ line" for what is new; empty if both are the same.

    `ignore(section, line)` is for a machine that others use at the same time.
    """
    found: list[str] = []
    for section in sorted(before.keys() | after.keys()):
        old, new = before.get(section, []), after.get(section, [])
        changes = [("-", line) for line in _without(old, new)] + [("+", line) for line in _without(new, old)]
        found += [f"{section}: {sign} {line}" for sign, line in changes if not ignore(section, line)]
    return found


def _without(lines: list[str], others: list[str]) -> list[str]:
    left = list(others)
    missing: list[str] = []
    for line in lines:
        if line in left:
            left.remove(line)
        else:
            missing.append(line)
    return missing


# --- one network namespace --------------------------------------------------------------------------


def _network() -> Snapshot:
    return {
        "links": _links(),
        "addresses": _lines(["ip", "-o", "address", "show"], skip_first=True),
        "routes": _lines(["ip", "route", "show", "table", "all"]) + _lines(["ip", "-6", "route", "show", "table", "all"]),
        "rules": _lines(["ip", "rule", "show"]) + _lines(["ip", "-6", "rule", "show"]),
        "neighbours": _lines(["ip", "neighbour", "show", "nud", "permanent"]),
        "nft": linux.run(["nft", "-s", "list", "ruleset"]).splitlines(),
        "sysctls": _sysctls(),
    }


def _lines(argv: list[str], skip_first: bool = False) -> list[str]:
    """skip_first: without the interface's index, which a NIC that went and came need not keep."""
    lines = linux.run(argv).splitlines()
    return sorted(line.split(" ", 1)[1] if skip_first else line for line in lines)


def _links() -> list[str]:
    lines: list[str] = []
    for link in json.loads(linux.run(["ip", "-j", "-d", "link", "show"])):
        kind = link.get("linkinfo", {}).get("info_kind", "-")
        flags = ",".join(sorted(set(link["flags"]) & {"UP", "PROMISC", "ALLMULTI", "NOARP"}))
        name, mac = link["ifname"], link.get("address", "-")
        lines.append(f"{name} {kind} {mac} mtu {link['mtu']} master {link.get('master', '-')} {flags or 'DOWN'}")
    return sorted(lines)


def _sysctls() -> list[str]:
    root = Path("/proc/sys/net")
    lines: list[str] = []
    for directory, _, names in os.walk(root):
        for name in names:
            path = Path(directory, name)
            key = str(path.relative_to(root))
            if key in _VOLATILE_SYSCTLS:
                continue
            try:
                lines.append(f"{key} = {path.read_text().strip()}")
            except OSError:
                pass  # write-only, or a secret that is not set
    return sorted(lines)


# --- the machine ------------------------------------------------------------------------------------


def _mounts() -> list[str]:
    lines: list[str] = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        own, _, filesystem = line.partition(" - ")
        _, _, _, root, target, options, *propagation = own.split()
        lines.append(f"{target} {root} {options} {' '.join(p.split(':')[0] for p in propagation)} {filesystem}")
    return sorted(lines)


def _cgroups() -> list[str]:
    return sorted(directory for directory, _, _ in os.walk("/sys/fs/cgroup"))


def _processes() -> list[str]:
    lines: list[str] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text()
        except OSError:
            continue
        name = fields[fields.index("(") + 1 : fields.rindex(")")]
        rest = fields.rpartition(")")[2].split()  # from field 3 (proc(5)) on
        if int(rest[6]) & _PF_KTHREAD or rest[0] == "Z":
            continue  # the kernel's own; and what only waits to be buried
        lines.append(f"{name} pid {entry.name} started {rest[19]}")
    return sorted(lines)


def _files() -> list[str]:
    lines: list[str] = []
    for root in FILE_ROOTS:
        if not os.path.lexists(root):
            continue
        lines.append(_file_line(root))
        for directory, directories, names in os.walk(root):
            lines += [_file_line(os.path.join(directory, name)) for name in (*directories, *names)]
    return sorted(lines)


def _file_line(path: str) -> str:
    status = os.lstat(path)
    size = status.st_size if stat.S_ISREG(status.st_mode) else 0
    return f"{path} {stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid} {size}"
