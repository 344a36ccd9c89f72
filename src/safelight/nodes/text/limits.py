"""How large a text a node may make. Small inputs can ask for much: a few nodes in a row that double their text, or one
that puts a long text wherever a short one stood."""

from collections.abc import Iterable

MOST_CHARACTERS = 16 * 1024 * 1024


class TextTooLong(ValueError):
    """A node would make a text of more characters than :data:`MOST_CHARACTERS`."""

    def __init__(self) -> None:
        super().__init__(f"the text would have more than {MOST_CHARACTERS} characters")


def check_length(characters: int) -> None:
    """Before a text is made. Raises :class:`TextTooLong`."""
    if characters > MOST_CHARACTERS:
        raise TextTooLong


def joined(parts: Iterable[str]) -> str:
    """The parts in one text. Raises :class:`TextTooLong` at the first that is one too many."""
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
