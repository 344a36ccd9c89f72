"""The maximum length of a text that a node may make. Small inputs can ask for a lot: a few nodes in a row that double
their text, or one that replaces every short match with a long text."""

from collections.abc import Iterable

MAX_CHARACTERS = 16 * 1024 * 1024


class TextTooLong(ValueError):
    """A node would make a text of more than :data:`MAX_CHARACTERS` characters."""

    def __init__(self) -> None:
        super().__init__(f"the text would have more than {MAX_CHARACTERS} characters")


def check_length(characters: int) -> None:
    """Call before a text is made. Raises :class:`TextTooLong`."""
    if characters > MAX_CHARACTERS:
        raise TextTooLong


def joined(parts: Iterable[str]) -> str:
    """Join the parts. Raises :class:`TextTooLong` at the first part that exceeds the limit."""
    kept: list[str] = []
    size = 0
    for part in parts:
        size += len(part)
        check_length(size)
        kept.append(part)
    return "".join(kept)


def replaced(text: str, find: str, replace: str) -> str:
    """``text.replace(find, replace)``. Raises :class:`TextTooLong`."""
    times = text.count(find)
    check_length(len(text) + times * (len(replace) - len(find)))
    return text.replace(find, replace)
