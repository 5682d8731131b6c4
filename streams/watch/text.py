"""The picture as plain text, for a script, a log or a terminal that can do nothing else."""

from collections.abc import Sequence

from streams.watch.picture import Picture
from streams.watch.views import OVERVIEW, PROCESSES, View


def as_text(picture: Picture) -> str:
    """Stages and processes as two tables; where something is wrong, the likely cause and what to do."""
    lines = [*_table(OVERVIEW, picture), "", *_table(PROCESSES, picture)]
    if picture.cause:
        lines += ["", f"likely cause: {picture.cause}", f"what to do: {picture.remedy}"]
    return "\n".join(lines)


def _table(view: View, picture: Picture) -> list[str]:
    rows: list[Sequence[str]] = [view.columns, *(row.cells for row in view.rows(picture))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
