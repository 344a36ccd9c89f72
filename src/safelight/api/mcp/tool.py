"""A tool of the MCP endpoint, and a call of it. Does not know the library that speaks the protocol."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from safelight.api.app import App
from safelight.core.errors import Invalid
from safelight.core.user import Principal


@dataclass(frozen=True, slots=True)
class ToolCall:
    """``arguments``: as the client sent them."""

    app: App
    who: Principal
    http: Request
    arguments: Mapping[str, Any]

    def text(self, name: str, default: str | None = None) -> str:
        """A string argument. Raises :class:`Invalid`."""
        value = self.arguments.get(name, default)
        if not isinstance(value, str):
            raise Invalid(f"the argument {name!r} must be a string")
        return value

    def number(self, name: str, *, default: int, most: int) -> int:
        """A number from 0 to ``most``. Raises :class:`Invalid`."""
        value = self.arguments.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
            raise Invalid(f"the argument {name!r} must be a number from 0 to {most}")
        return int(value)

    def mapping(self, name: str, default: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """An object argument. Raises :class:`Invalid`."""
        value = self.arguments.get(name, default)
        if not isinstance(value, dict):
            raise Invalid(f"the argument {name!r} must be an object")
        return value


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in the answer of a tool. ``data``: its bytes."""

    data: bytes
    mime_type: str


@dataclass(frozen=True, slots=True)
class Tool:
    """``schema``: the JSON schema of its arguments. ``run``: returns plain data, or a :class:`Picture`."""

    name: str
    description: str
    schema: Mapping[str, Any]
    run: Callable[[ToolCall], Awaitable[Any]]


def object_schema(required: tuple[str, ...] = (), **properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}
