"""How commands speak to a person: one console for results, one for what goes on beside them."""

from collections.abc import Sequence

from rich.console import Console

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def print_columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table of plain lines, each whole, so that other programs can read it."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        out.print(line.rstrip(), soft_wrap=True, markup=False)
