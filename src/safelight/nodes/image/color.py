"""Parse the colors that users enter."""

import re

from safelight.sdk import io

Color = io.Custom("COLOR")


def parse_color(color: str) -> tuple[int, int, int, int]:
    """``#RRGGBB`` or ``#RRGGBBAA`` as four bytes. Raises :class:`ValueError` for anything else."""
    if not re.fullmatch(r"#[0-9a-fA-F]{6}([0-9a-fA-F]{2})?", color):
        raise ValueError(f"invalid color {color!r}: write #RRGGBB or #RRGGBBAA")
    red, green, blue, alpha = bytes.fromhex(f"{color[1:]:f<8}")
    return red, green, blue, alpha
