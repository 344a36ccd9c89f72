"""The messages of a socket, one line each (``executing 3.0.0.1 (3)``), without what differs between runs.

The lines give types, order and values; :func:`misshapen` holds each message against the captured keys and JSON types.
"""

import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

BINARY = {1: "preview", 3: "text", 4: "preview with metadata"}
ANY_KEY = "*"


def lines(messages: Sequence[Any]) -> list[Any]:
    """Without the steps within nodes, which depend on the clock: see :func:`stepping`."""
    return [
        line(message)
        for message, following in zip(messages, [*messages[1:], None], strict=False)
        if not _is_step(message) and not (_kind(message) == "progress_state" and _is_step(following))
    ]


def stepping(messages: Iterable[Any]) -> list[str]:
    """The nodes that reported progress, each time with a ``progress_state`` and a ``progress``."""
    return sorted({message["data"]["node"] for message in messages if _is_step(message)})


def line(message: Any) -> Any:
    """A string, or an object of the type and the content where the whole content matters."""
    if isinstance(message, bytes):
        return f"binary {BINARY[struct.unpack('>I', message[:4])[0]]}"
    kind, data = message["type"], message["data"]
    if kind == "status":
        return f"status {data['status']['exec_info']['queue_remaining']}" + (" sid" if "sid" in data else "")
    if kind == "execution_cached":
        return " ".join([kind, *sorted(data["nodes"])])
    if kind == "progress_state":
        return " ".join([kind, *(_state(key, state) for key, state in sorted(data["nodes"].items()))])
    if kind == "executing":
        node, shown = data["node"], data.get("display_node", data["node"])
        return f"executing {node}" + (f" ({shown})" if shown != node else "")
    if kind in ("execution_start", "execution_success", "logs"):
        return kind
    return {kind: _plain(data)}


def misshapen(messages: Iterable[Any], shapes: Mapping[str, Sequence[Any]]) -> list[str]:
    """Messages whose data do not have a captured form of their type."""
    return [
        f"{message['type']}: {shape(message['data'])}"
        for message in messages
        if not isinstance(message, bytes)
        and not any(_fits(known, message["data"]) for known in shapes.get(message["type"], ()))
    ]


def shape(value: Any) -> Any:
    """Keys and JSON types. Objects by node id have one entry for all."""
    if isinstance(value, dict):
        if value and all(re.fullmatch(r"[\d.]+", key) for key in value):
            return {ANY_KEY: shape(next(iter(value.values())))}
        return {key: shape(child) for key, child in sorted(value.items())}
    if isinstance(value, list):
        return "list"
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    return "text" if isinstance(value, str) else "number"


def _kind(message: Any) -> str:
    return message["type"] if isinstance(message, dict) else ""


def _is_step(message: Any) -> bool:
    return _kind(message) == "progress"


def _fits(known: Any, value: Any) -> bool:
    if known == "any":
        return True
    if known == "text?":
        return value is None or isinstance(value, str)
    if known == "object":
        return isinstance(value, dict)
    if isinstance(known, dict) and isinstance(value, dict):
        if ANY_KEY in known:
            return all(_fits(known[ANY_KEY], child) for child in value.values())
        return known.keys() == value.keys() and all(_fits(known[key], value[key]) for key in known)
    return bool(known == shape(value))


def _state(key: str, state: Mapping[str, Any]) -> str:
    ids = [state[name] for name in ("display_node_id", "parent_node_id", "real_node_id")]
    family = "" if ids == [key, None, key] else f"({' '.join(map(str, ids))})"
    return f"{key}{family}:{state['state']}"


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """Without ids and times; what ComfyUI keeps in sets, in order."""
    kept = {k: v for k, v in data.items() if k not in ("prompt_id", "timestamp")}
    for name in ("executed", "current_outputs"):
        if isinstance(kept.get(name), list):
            kept[name] = sorted(kept[name])
    return kept


def replaced(told: Sequence[Any], edits: Iterable[Mapping[str, Any]]) -> Iterator[Any]:
    """``told`` with each edit's ``from`` replaced by its ``to``, at its first occurrence."""
    result = list(told)
    for edit in edits:
        old, new = edit["from"], edit["to"]
        at = next((i for i in range(len(result) + 1) if result[i : i + len(old)] == old), None)
        assert at is not None, f"{edit['rule']}: nothing to mend"
        result[at : at + len(old)] = new
    return iter(result)
