"""Output of the commands: one console for results (stdout), one for progress and warnings (stderr)."""

from collections.abc import Sequence

from rich.console import Console

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def print_columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table as plain, unwrapped lines that other programs can read."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        out.print(line.rstrip(), soft_wrap=True, markup=False)
