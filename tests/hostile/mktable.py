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


_FILTERED = 7  # columns, the first ones


def row(name: str, seen: dict[int, str], told: dict[int, set[str]]) -> str:
    calls = "|".join(sorted(set().union(*(told.get(i, set()) for i in range(_FILTERED)))))

    def cell(i: int) -> str:
        outcome = seen.get(i, "?")
        untold = i < _FILTERED and outcome != "ok" and not told.get(i)
        return f'"~{outcome}"' if untold else f'"{outcome}"'

    cells = [cell(i) for i in range(len(_COLUMNS))]
    padded = "".join(f"{cell}, ".ljust(15) for cell in cells[:-1]) + cells[-1]
    return "{" + f'"{name}", '.ljust(22) + f'"{calls}", '.ljust(22) + "{" + padded + "}},"


def main(path: str) -> None:
    seen: dict[str, dict[int, str]] = {}
    told: dict[str, dict[int, set[str]]] = {}
    for line in Path(path).read_text().splitlines():
        column, name, outcome = line.split()
        if outcome.startswith("told:"):
            told.setdefault(name, {}).setdefault(int(column), set()).add(outcome[5:])
        else:
            seen.setdefault(name, {})[int(column)] = outcome
    table = _HERE / "attempts.inc"
    head = table.read_text().split("\n// --- ")[0].rstrip()
    lines = [head]
    for group, title in _GROUPS.items():
        lines += ["", f"// --- {title} ---", ("//".ljust(24) + "told of".ljust(22) + "".join(c.ljust(15) for c in _COLUMNS)).rstrip()]
        lines += [row(name, seen.get(name, {}), told.get(name, {})) for name in attempts(group)]
    table.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
