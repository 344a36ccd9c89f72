"""Events of calls as plain data, tagged with their class name: what pipes and other servers receive."""

from typing import Any, get_args

import msgspec

from safelight.core.event import CallEvent

KINDS: dict[str, type[CallEvent]] = {kind.__name__: kind for kind in get_args(CallEvent)}


def to_fields(event: CallEvent) -> dict[str, Any]:
    """The fields of ``event`` as plain data. Raises :class:`TypeError` for a value that is not plain data."""
    fields: dict[str, Any] = msgspec.to_builtins(event, builtin_types=(bytes,))
    return fields


def from_fields(kind: str, fields: dict[str, Any]) -> CallEvent:
    """The event that :func:`to_fields` encoded. Raises :class:`ValueError` for an unknown kind or wrong fields."""
    if kind not in KINDS:
        raise ValueError(f"unknown kind of event {kind!r}")
    return msgspec.convert(fields, type=KINDS[kind], builtin_types=(bytes,))
