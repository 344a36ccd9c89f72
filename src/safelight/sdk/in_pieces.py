"""Values that are made piece by piece when they are read, such as the frames of a film. A node gets the whole of such a
value, unless it names the input in ``Node.reads_in_pieces``."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Any


class InPieces(ABC):
    """A value on a link that stands for a larger one."""

    @abstractmethod
    def whole(self) -> Any:
        """The value itself, made now."""


def with_whole_values(arguments: Mapping[str, Any], *, besides: Collection[str]) -> dict[str, Any]:
    """The arguments of a node, in which only inputs ``besides`` are left to be read in pieces."""
    return {name: value if name in besides else _whole(value) for name, value in arguments.items()}


def _whole(value: Any) -> Any:
    if isinstance(value, InPieces):
        return value.whole()
    if isinstance(value, list) and any(isinstance(item, InPieces) for item in value):
        return [_whole(item) for item in value]
    if isinstance(value, dict) and any(isinstance(item, InPieces) for item in value.values()):  # of growing inputs
        return {name: _whole(item) for name, item in value.items()}
    return value
