"""What a benchmark found: figures, and verdicts on ratios. A time alone is never judged, because the
next machine, or this one an hour later, is a different one.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any, Optional, Sequence


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def spread(values: Sequence[float]) -> str:
    """The middle half of the values: how far to trust the median."""
    if len(values) < 4:
        return f"{min(values):.2f}-{max(values):.2f}"
    low, _, high = statistics.quantiles(values, n=4)
    return f"{low:.2f}-{high:.2f}"


@dataclass
class Target:
    """`value` is to be at most `most`, or at least `least`."""

    name: str
    value: float
    most: Optional[float] = None
    least: Optional[float] = None
    unit: str = "x"

    @property
    def met(self) -> bool:
        return (self.most is None or self.value <= self.most) and (self.least is None or self.value >= self.least)

    def bound(self) -> str:
        return f"<= {self.most:g}" if self.most is not None else f">= {self.least:g}"

    def document(self) -> dict[str, Any]:
        return {"name": self.name, "value": self.value, "target": self.bound(), "unit": self.unit, "met": self.met}


@dataclass
class Report:
    part: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)  # all that was measured, for the JSON
    notes: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        return {"targets": [target.document() for target in self.targets], "notes": self.notes, **self.facts}


def _lines(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]
        lines.append("  ".join(cells).rstrip())
    return lines


def table(report: Report) -> str:
    body = _lines([report.columns, *report.rows])
    rule = "-" * max(len(line) for line in body)
    return "\n".join(["", report.part, rule, body[0], rule, *body[1:], rule, *report.notes])


def verdicts(reports: Sequence[Report]) -> str:
    rows = [("target", "measured", "bound", "")]
    for report in reports:
        for target in report.targets:
            measured = f"{target.value:.2f} {target.unit}"
            rows.append((f"{report.part}: {target.name}", measured, target.bound(), "met" if target.met else "MISSED"))
    return "\n".join(["", *_lines(rows)])
