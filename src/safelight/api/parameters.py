"""Query and path parameters, decoded as their operation declares them.

Arrays may be comma-joined, repeated, or both: clients use either form, even within one program.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from re import fullmatch
from typing import Any
from urllib.parse import unquote_plus

from safelight.api.contract import Parameter
from safelight.core.errors import Invalid

_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


class InvalidParameter(Invalid):
    code = "invalid_parameter"

    def __init__(self, parameter: Parameter, problem: str) -> None:
        super().__init__(f"the {parameter.location} parameter {parameter.name!r} {problem}")


def decode_path(parameters: Iterable[Parameter], values: Mapping[str, str]) -> dict[str, Any]:
    """Formats are not checked: an id that cannot exist answers as one that does not exist."""
    decoded: dict[str, Any] = dict(values)
    for parameter in parameters:
        if (
            parameter.location == "path"
            and parameter.pattern
            and not fullmatch(parameter.pattern, values[parameter.name])
        ):
            raise InvalidParameter(
                parameter, f"is {values[parameter.name]!r}, which does not match {parameter.pattern}"
            )
    return decoded


def decode_query(parameters: Iterable[Parameter], query: bytes) -> dict[str, Any]:
    """All declared query parameters by name, with their defaults. Raises :class:`InvalidParameter`."""
    given = _split(query) if query else {}
    return {
        p.name: _members(p, given) if p.type == "object" else _decode(p, given.get(p.name, ()))
        for p in parameters
        if p.location == "query"
    }


def _members(parameter: Parameter, given: Mapping[str, list[str]]) -> dict[str, str]:
    """The members of an object that is written ``name[key]=value`` (the style ``deepObject``)."""
    start = f"{parameter.name}["
    return {
        name[len(start) : -1]: unquote_plus(values[-1])
        for name, values in given.items()
        if name.startswith(start) and name.endswith("]")
    }


def _split(query: bytes) -> dict[str, list[str]]:
    """The values by name, still percent-encoded, since a literal comma and an escaped one differ."""
    given: dict[str, list[str]] = {}
    for pair in query.decode("latin-1").split("&"):
        name, _, value = pair.partition("=")
        if name:
            given.setdefault(unquote_plus(name), []).append(value)
    return given


def _decode(parameter: Parameter, raw: Iterable[str]) -> Any:
    texts = list(raw)
    if not texts:
        if parameter.required:
            raise InvalidParameter(parameter, "is required")
        return [] if parameter.type == "array" else parameter.default
    if parameter.type == "array":
        return [item for text in texts for item in _items(text) if item]
    return _scalar(parameter, unquote_plus(texts[0]))


def _items(text: str) -> list[str]:
    """Split ``a,b``, as the contract defines. Without a literal comma, an escaped one separates as well, because
    ``URLSearchParams`` and Python's ``urlencode`` escape it."""
    if "," in text:
        return [unquote_plus(item) for item in text.split(",")]
    return unquote_plus(text).split(",")


def _scalar(parameter: Parameter, text: str) -> Any:
    if parameter.type == "integer":
        return _integer(parameter, text)
    if parameter.type == "boolean":
        if text.lower() not in _BOOLEANS:
            raise InvalidParameter(parameter, f"is {text!r}, not true or false")
        return _BOOLEANS[text.lower()]
    if parameter.enum and text not in parameter.enum:
        raise InvalidParameter(parameter, f"is {text!r}, not one of: {', '.join(parameter.enum)}")
    if parameter.format == "date-time":
        return _moment(parameter, text)
    return text


def _integer(parameter: Parameter, text: str) -> int:
    if not fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise InvalidParameter(parameter, f"is {text!r}, not an integer")
    value = int(text)
    if parameter.minimum is not None and value < parameter.minimum:
        raise InvalidParameter(parameter, f"is {value}; the minimum is {parameter.minimum}")
    if parameter.maximum is not None and value > parameter.maximum:
        raise InvalidParameter(parameter, f"is {value}; the maximum is {parameter.maximum}")
    return value


def _moment(parameter: Parameter, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidParameter(parameter, f"is {text!r}, not a date and time") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
