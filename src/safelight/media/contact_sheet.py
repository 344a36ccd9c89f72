"""A contact sheet: pictures in a grid, each under its label, with headings for columns and rows."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from safelight.media.image_header import open_image

CELL = 192
"""Pixels: the longest side of a picture."""
_MARGIN, _LINE = 8, 16
_LONGEST_TEXT = 28
_BACKGROUND, _INK, _EMPTY = (24, 24, 24), (230, 230, 230), (48, 48, 48)


@dataclass(frozen=True, slots=True)
class Cell:
    """``picture``: a file; ``None`` for a job without one."""

    label: str
    picture: Path | None


def contact_sheet(cells: Sequence[Cell], *, columns: Sequence[str], rows: Sequence[str], title: str) -> bytes:
    """A PNG of ``cells``, row by row. ``columns`` and ``rows``: the headings; ``rows`` may be empty texts. Blocks."""
    width = CELL + _MARGIN
    height = CELL + _LINE + _MARGIN
    left = _MARGIN + (CELL // 2 if any(rows) else 0)
    top = _MARGIN + 2 * _LINE + (_LINE if any(columns) else 0)
    sheet = Image.new("RGB", (left + width * len(columns), top + height * len(rows)), _BACKGROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default()

    def write(x: int, y: int, text: str) -> None:
        short = text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "~"
        draw.text((x, y), short.encode("latin-1", "replace").decode("latin-1"), fill=_INK, font=font)

    draw.text((_MARGIN, _MARGIN), title.encode("latin-1", "replace").decode("latin-1"), fill=_INK, font=font)
    for number, text in enumerate(columns):
        write(left + width * number, top - _LINE - _MARGIN, text)
    for number, text in enumerate(rows):
        write(_MARGIN, top + height * number + CELL // 2, text[:14])
    for number, cell in enumerate(cells):
        x, y = left + width * (number % len(columns)), top + height * (number // len(columns))
        _place(sheet, draw, cell, x, y)
        write(x, y + CELL, cell.label)
    body = io.BytesIO()
    sheet.save(body, "PNG")
    return body.getvalue()


def _place(sheet: Image.Image, draw: ImageDraw.ImageDraw, cell: Cell, x: int, y: int) -> None:
    if cell.picture is None:
        draw.rectangle((x, y, x + CELL - 1, y + CELL - 1), fill=_EMPTY)
        return
    with open_image(cell.picture) as opened:
        opened.draft("RGB", (CELL, CELL))
        picture = opened.convert("RGB")
    picture.thumbnail((CELL, CELL))
    sheet.paste(picture, (x + (CELL - picture.width) // 2, y + (CELL - picture.height) // 2))
