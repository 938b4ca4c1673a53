"""Cells in columns, for a terminal. Knows nothing of what they mean."""

from collections.abc import Sequence


def format_table(lines: Sequence[Sequence[str]]) -> str:
    """Set cells in columns: the first flush left, the others right."""
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(_format_line(line, widths) for line in lines)


def _format_line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)])


def format_decimal(value: float | None, places: int) -> str:
    """Write a number, or the dash that stands for none."""
    return "-" if value is None else f"{value:.{places}f}"
