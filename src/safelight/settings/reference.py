"""The tables of ``docs/operate/settings.md``, made from the declarations.

``python -m safelight.settings.reference docs/operate/settings.md`` writes them into the page.
"""

import sys
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, get_type_hints

from msgspec import Meta

from safelight.settings.groups import GROUPS

BEGIN, END = "<!-- settings: begin -->\n", "<!-- settings: end -->\n"
_UNITS = (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024))


def tables() -> str:
    """One table for each group, in Markdown."""
    return "\n".join("\n".join(_table(group)) + "\n" for group in GROUPS.values())


def write(page: Path) -> None:
    """Replace the tables of the page."""
    before, _, rest = page.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n{tables()}\n{END}{after}", "utf-8")


def _table(group: type[Any]) -> Iterator[str]:
    yield from (f"## {group.__doc__}", "", "| name | default | meaning |", "|---|---|---|")
    hints = get_type_hints(group, include_extras=True)
    for one in fields(group):
        notes = [note for note in hints[one.name].__metadata__ if isinstance(note, Meta) and note.description]
        yield f"| `{one.name}` | {_default(one, notes[-1])} | {notes[-1].description} |"


def _default(one: "Field[Any]", note: Meta) -> str:
    if note.extra and note.extra["default"]:
        return str(note.extra["default"])
    assert one.default is not MISSING
    value = one.default
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return ", ".join(f"`{item}`" for item in value) or "none"
    if isinstance(value, int) and one.name.endswith(("_bytes", "_pixels")):
        return next(f"{value // size} {unit}" for unit, size in _UNITS if value % size == 0).removesuffix(
            "B" if one.name.endswith("_pixels") else ""
        )
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value}`" if str(value) else "none"


if __name__ == "__main__":
    write(Path(sys.argv[1]))
