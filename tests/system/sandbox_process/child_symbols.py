"""What runs between clone and exec, in a copy of a process that may have had threads, calls the kernel and
nothing else: no allocation, no lock, no stream. By the undefined symbols of its object files.

child_symbols.py OBJECT…: those of the libraries that the child's code is in.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# Our own, each from a file that is looked at here as well.
_OURS = {
    "orrery::limitBoundingSet(unsigned long, int)",
    "orrery::keepCapabilitiesOverSetuid()",
    "orrery::becomeExactly(unsigned long)",
    "orrery::restrictSelf(int)",
}
_ALLOWED = _OURS | {"syscall", "__errno_location", "__stack_chk_fail", "_GLOBAL_OFFSET_TABLE_"}
_FILES = ("process/CMakeFiles/sandbox_process.dir/child.cc.o",
          "caps/CMakeFiles/sandbox_caps.dir/drop.cc.o",
          "landlock/CMakeFiles/sandbox_landlock.dir/restrict.cc.o")


def undefined(path: str) -> set[str]:
    out = subprocess.run(["nm", "--undefined-only", "--demangle", path], check=True, capture_output=True, text=True)
    return {line.split(None, 1)[1].strip() for line in out.stdout.splitlines()}


def main(objects: list[str]) -> int:
    bad = 0
    objects = [os.path.normpath(path) for path in objects]
    for wanted in _FILES:
        found = [path for path in objects if path.endswith(wanted)]
        if len(found) != 1:
            print(f"{wanted}: not among the {len(objects)} objects")
            bad += 1
            continue
        for symbol in sorted(undefined(found[0]) - _ALLOWED):
            print(f"{Path(wanted).name}: calls {symbol}")
            bad += 1
    # The check must be able to fail: the parent's side does call what the child must not.
    others = [path for path in objects if path.endswith("sandbox_process.dir/spawn.cc.o")]
    if not others or not undefined(others[0]) - _ALLOWED:
        print("spawn.cc.o seems to call nothing: is nm reading these files?")
        bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
