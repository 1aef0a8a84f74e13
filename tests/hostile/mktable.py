"""Makes the table attempts.inc anew from what the tests saw, after a change of the sandbox, a profile or the
attempts. What differs is then for a person to judge: git diff.

ORRERY_HOSTILE_TABLE=/tmp/seen build/dev/tests/system_hostile; python3 tests/hostile/mktable.py /tmp/seen
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_COLUMNS = ["dnsmasq", "openvpn", "wireguard-go", "tor", "udhcpc", "tproxy", "lease", "no filter", "free"]
_GROUPS = {
    "namespaces": "Namespaces, mounts",
    "process": "Other processes, becoming somebody else",
    "sockets": "Sockets",
    "netlink": "The network namespace",
    "files": "Files",
    "memory": "Memory",
    "kernel": "The kernel",
}


def attempts(group: str) -> list[str]:
    text = (_HERE / f"tries_{group}.cc").read_text()
    return re.findall(r'\{"([^"]+)", ', text[text.index("kTries[] = {") :])


def row(name: str, seen: dict[int, str]) -> str:
    cells = [f'"{seen.get(i, "?")}"' for i in range(len(_COLUMNS))]
    padded = "".join(f"{cell}, ".ljust(14) for cell in cells[:-1]) + cells[-1]
    return "{" + f'"{name}", '.ljust(22) + "{" + padded + "}},"


def main(path: str) -> None:
    seen: dict[str, dict[int, str]] = {}
    for line in Path(path).read_text().splitlines():
        column, name, outcome = line.split()
        seen.setdefault(name, {})[int(column)] = outcome
    table = _HERE / "attempts.inc"
    head = table.read_text().split("\n// --- ")[0].rstrip()
    lines = [head]
    for group, title in _GROUPS.items():
        lines += ["", f"// --- {title} ---", ("//".ljust(24) + "".join(c.ljust(14) for c in _COLUMNS)).rstrip()]
        lines += [row(name, seen.get(name, {})) for name in attempts(group)]
    table.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
