"""How a setting is declared: its type, its bounds and its meaning, in one annotation."""

from typing import Annotated, Any

from msgspec import Meta


def doc(meaning: str, *, default: str = "", by_commas: bool = False, **bounds: Any) -> Meta:
    """What a setting means, for the reference; ``default`` describes a default that the value itself does not show.

    ``by_commas``: a list whose items may contain colons. ``bounds``: those of :class:`msgspec.Meta` (``ge``, ``le``,
    ``gt``, ``min_length`` ...).
    """
    return Meta(description=meaning, extra={"default": default, "by_commas": by_commas}, **bounds)


Seconds = Annotated[float, Meta(ge=0)]
PositiveSeconds = Annotated[float, Meta(gt=0)]
Bytes = Annotated[int, Meta(ge=0)]
PositiveBytes = Annotated[int, Meta(gt=0)]
