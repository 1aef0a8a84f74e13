"""What a run was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional


@dataclass(frozen=True)
class Settings:
    build: Path
    full: bool
    core: int
    rounds_asked: Optional[int]
    routers_asked: Optional[list[int]]

    def rounds(self, quick: int, full: int) -> int:
        return self.rounds_asked or (full if self.full else quick)

    @property
    def routerctl(self) -> str:
        return str(self.build / "bin/routerctl")

    def helper(self, name: str) -> str:
        return str(self.build / "bench" / name)
