"""The source tree as these tests see it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List

ROOT = Path(os.environ.get("ORRERY_SOURCE_DIR") or Path(__file__).resolve().parents[3])
LAYERS = ("sandbox", "netns", "routers", "runtime")  # each may include itself and those before it

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)


@dataclass(frozen=True)
class Include:
    line: int
    angled: bool  # <…>, not "…"
    name: str


def includes(text: str) -> List[Include]:
    return [
        Include(text.count("\n", 0, found.start()) + 1, found.group(1) == "<", found.group(2))
        for found in _INCLUDE.finditer(text)
    ]


def product_sources() -> Dict[str, str]:
    """Every .h and .cc of the four layers by its path from the root."""
    return {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for layer in LAYERS
        for path in sorted((ROOT / layer).rglob("*"))
        if path.suffix in (".h", ".cc")
    }


def markdown() -> Iterator[Path]:
    """Documents for readers: not those of the build tree."""
    yield from sorted(ROOT.glob("*.md"))
    for directory in ("docs", "bench", "tests", "configs", *LAYERS):
        yield from sorted((ROOT / directory).rglob("*.md"))


def without_comments(text: str) -> str:
    """C++ with its comments blanked out, line numbers kept. Strings that hold "//" stay whole."""
    pattern = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)

    def blank(found: "re.Match[str]") -> str:
        piece = found.group(0)
        return piece if piece.startswith('"') else re.sub(r"[^\n]", " ", piece)

    return pattern.sub(blank, text)
