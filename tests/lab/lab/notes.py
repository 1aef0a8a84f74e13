"""What transitions let out of routers, as notes, and the table of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterable

from .capture import Frame

_COUNTS = ("times", "frames", "wrong", "caught", "seconds")


@dataclass
class Note:
    """One transition, and what left its router meanwhile."""

    router: str
    form: str
    kind: str
    frames: int
    wrong: list[tuple[str, Frame]]
    seconds: float
    control: bool = False


def rows(notes: Iterable[Note]) -> list[dict[str, Any]]:
    """By kind of router and of transition."""
    sums: dict[tuple[bool, str, str], dict[str, Any]] = {}
    for note in notes:
        row = sums.setdefault(
            (note.control, note.form, note.kind),
            {"control": note.control, "router": note.form, "transition": note.kind, **dict.fromkeys(_COUNTS, 0)},
        )
        row["times"] += 1
        row["frames"] += note.frames
        row["wrong"] += len(note.wrong)
        row["caught"] += bool(note.wrong)
        row["seconds"] += note.seconds
    return [sums[key] for key in sorted(sums)]


def report(notes: list[Note]) -> str:
    lines = [f"{'router':10} {'transition':28} {'times':>6} {'frames':>9} {'leaked':>7} {'each':>9}"]
    table = rows(notes)
    for row in table:
        if not row["control"]:
            each = f"{row['seconds'] / row['times'] * 1000:.0f} ms"
            counts = f"{row['times']:6} {row['frames']:9} {row['wrong']:7} {each:>9}"
            lines.append(f"{row['router']:10} {row['transition']:28} {counts}")
    plain = [row for row in table if not row["control"]]
    total, frames, wrong = (sum(row[key] for row in plain) for key in ("times", "frames", "wrong"))
    lines.append(f"{'all':10} {'':28} {total:6} {frames:9} {wrong:7}")
    controls = [row for row in table if row["control"]]
    if controls:
        lines.append(f"{'router':10} {'way past, made on purpose':28} {'times':>6} {'caught':>9}")
    for row in controls:
        lines.append(f"{row['router']:10} {row['transition']:28} {row['times']:6} {row['caught']:9}")
    return "\n".join(lines)


def leaks(notes: Iterable[Note]) -> list[str]:
    return [
        f"{note.router}, {note.kind}: {why}: {frame}" for note in notes if not note.control for why, frame in note.wrong
    ]


def missed(notes: Iterable[Note]) -> list[str]:
    return [f"{note.router}: {note.kind} was not seen" for note in notes if note.control and not note.wrong]
