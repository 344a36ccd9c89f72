"""Finding the endpoint of a raw request path. Segments are decoded one by one, so ``%2F`` stays inside a parameter.

Servers decode ``scope["path"]`` before a framework sees it, and ``/api/userdata/a%2Fb/move/c`` becomes ambiguous;
therefore ``raw_path`` is split first and decoded afterwards.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import unquote_to_bytes

E = TypeVar("E")


@dataclass(slots=True)
class _Node(Generic[E]):
    """Mutable while the trie is built."""

    literal: dict[str, "_Node[E]"] = field(default_factory=dict)
    parameter: "_Node[E] | None" = None
    endpoints: dict[str, tuple[E, tuple[str, ...]]] = field(default_factory=dict)  # method -> endpoint, parameter names


@dataclass(frozen=True, slots=True)
class Match(Generic[E]):
    """The endpoints of a path by method, and the values of its parameters in the order of the path."""

    endpoints: Mapping[str, tuple[E, tuple[str, ...]]]
    values: tuple[str, ...] = ()

    @property
    def allowed(self) -> list[str]:
        methods = set(self.endpoints) | {"OPTIONS"}
        return sorted(methods | {"HEAD"} if "GET" in methods else methods)


class Router(Generic[E]):
    """Mutable while routes are added. A literal segment wins over a parameter; a parameter is never empty."""

    def __init__(self) -> None:
        self._root: _Node[E] = _Node()
        self._fixed: dict[bytes, Match[E]] = {}  # paths without parameters, as they are usually written

    def add(self, method: str, path: str, endpoint: E) -> None:
        node, names = self._root, []
        for segment in path.split("/")[1:]:
            if segment.startswith("{"):
                names.append(segment[1:-1])
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.literal.setdefault(segment, _Node())
        if method in node.endpoints:
            raise ValueError(f"{method} {path} is routed twice")
        node.endpoints[method] = (endpoint, tuple(names))
        if not names:
            self._fixed[path.encode()] = Match(node.endpoints)

    def find(self, raw_path: bytes) -> Match[E] | None:
        """``None`` for a path that is not a route. Raises :class:`UnicodeDecodeError` for a path that is not UTF-8."""
        if (fixed := self._fixed.get(raw_path)) is not None:
            return fixed
        segments = [unquote_to_bytes(s).decode("utf-8") for s in raw_path.split(b"/")[1:]]
        return _walk(self._root, segments, ()) if segments else None

    def __contains__(self, route: tuple[str, str]) -> bool:
        method, path = route
        node: _Node[E] | None = self._root
        for segment in path.split("/")[1:]:
            if node is not None:
                node = node.parameter if segment.startswith("{") else node.literal.get(segment)
        return node is not None and method in node.endpoints


def _walk(node: _Node[E], segments: Iterable[str], values: tuple[str, ...]) -> Match[E] | None:
    segment, *rest = segments
    for following, found in ((node.literal.get(segment), ()), (node.parameter if segment else None, (segment,))):
        if following is None:
            continue
        if not rest:
            if following.endpoints:
                return Match(following.endpoints, values + found)
        elif (match := _walk(following, rest, values + found)) is not None:
            return match
    return None
