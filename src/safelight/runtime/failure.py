"""Exceptions of nodes in the contract's form, without paths of this machine."""

import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

MAX_TEXT = 2000
"""Maximum number of characters of an input that are shown."""
MAX_ITEMS = 20
"""Maximum number of elements of an input, and of invocations, that are shown."""

_OURS = str(Path(__file__).parent)
_FILE = re.compile(r'^  File "([^"]+)"')


def type_name(error: BaseException) -> str:
    """Return ``ValueError``, ``re.error``: with the module unless it is built in."""
    cls = type(error)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def is_device_lost(exception_type: str, message: str) -> bool:
    """Return whether the device will fail every call until the process ends, as CUDA does after an illegal access."""
    return exception_type == "torch.AcceleratorError" or message.startswith(("CUDA error:", "HIP error:"))


def message_of(error: BaseException, *, shown_paths: Mapping[str, str]) -> str:
    """Return the message with a newline, as clients know it. ``shown_paths``: replacements for paths in it."""
    try:
        text = str(error)
    except Exception:
        text = f"(the message of {type_name(error)} cannot be shown)"
    if isinstance(error, AttributeError) and _is_inside_network(error):
        text += ": needs ComfyUI's samplers; runs on a ComfyUI engine"
    for path in sorted(shown_paths, key=len, reverse=True):
        text = text.replace(path, shown_paths[path])
    return text + "\n"


def traceback_of(error: BaseException) -> list[str]:
    """Return the frames from the node on, as Python prints them, with files relative to their import roots."""
    trace = error.__traceback__
    while trace is not None and _is_ours(trace):
        trace = trace.tb_next
    return [_FILE.sub(lambda m: f'  File "{_relative(m[1])}"', frame) for frame in traceback.format_tb(trace)]


def inputs_of(sets: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the arguments of all invocations by name, as short plain data."""
    shown: dict[str, list[Any]] = {}
    for arguments in sets[:MAX_ITEMS]:
        for name, value in arguments.items():
            shown.setdefault(name, []).append(summary(value))
    return shown


def summary(value: Any, *, depth: int = 2) -> Any:
    """Return numbers and (shortened) texts as they are; of anything else its type and size."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT else f"{value[:MAX_TEXT]}... ({len(value)} characters)"
    return _describe(value, depth)


def _describe(value: Any, depth: int) -> str:
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{type(value).__name__}(shape={list(value.shape)}, dtype={value.dtype})"
    if isinstance(value, Mapping) and depth:
        inner = [f"{k!r}: {_nested(v, depth)}" for k, v in list(value.items())[:MAX_ITEMS]]
        return "{" + ", ".join(inner) + (", ...}" if len(value) > MAX_ITEMS else "}")
    if isinstance(value, list | tuple) and depth:
        inner = [_nested(v, depth) for v in value[:MAX_ITEMS]]
        return "[" + ", ".join(inner) + (", ...]" if len(value) > MAX_ITEMS else "]")
    return f"<{type(value).__module__}.{type(value).__qualname__}>"


def _nested(value: Any, depth: int) -> str:
    shown = summary(value, depth=depth - 1)
    return repr(shown) if isinstance(value, str) else str(shown)


def _is_inside_network(error: AttributeError) -> bool:
    """Return whether a node pack asked one of our networks (a ``MODEL``, ``CLIP``, ``VAE`` ...) for something that
    ComfyUI's object of that type has."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    asker = str(trace.tb_frame.f_globals.get("__name__", "")) if trace is not None else ""
    return asker.startswith("custom_nodes.") and type(error.obj).__module__.startswith("safelight.models.")


def _is_ours(trace: TracebackType) -> bool:
    return trace.tb_frame.f_code.co_filename.startswith(_OURS)


def _relative(file: str) -> str:
    if file.startswith("<"):
        return file
    for root in sorted(_roots(), key=len, reverse=True):
        if file.startswith(root + "/"):
            return file[len(root) + 1 :]
    return Path(file).name


def _roots() -> list[str]:
    packs = sys.modules.get("custom_nodes")
    return [p.rstrip("/") for p in (*sys.path, *getattr(packs, "__path__", ())) if p.startswith("/")]
