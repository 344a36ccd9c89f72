"""What ComfyUI says of a failed prompt, in the form of Safelight's messages and without paths of this machine."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .codec import plain

MAX_TEXT = 2000
_ITEMS = 20
_FILE = re.compile(r'^  File "([^"]+)"')
_PACKAGES = "/site-packages/"
_NO_SPACE = ("No space left on device", "Disk quota exceeded")

Paths = Sequence[tuple[str, str]]
"""Folders of this machine and what is shown instead, the longest first."""


def job_error(event: Mapping[str, Any], executed: Sequence[str], paths: Paths) -> dict[str, Any]:
    """The error of an ``execution_error``. The message ends with a newline, as clients know it."""
    message = _hidden(str(event.get("exception_message", "")), paths)
    return {
        "exception_type": str(event.get("exception_type", "Exception")),
        "exception_message": message if message.endswith("\n") else f"{message}\n",
        "node_id": str(event.get("node_id", "")),
        "node_type": str(event.get("node_type", "")),
        "traceback": [_frame(str(frame), paths) for frame in event.get("traceback", ())],
        "current_inputs": {str(name): _short(values) for name, values in _items(event.get("current_inputs"))},
        "current_outputs": sorted(map(str, event.get("current_outputs", ()))),
        "executed": [*executed],
    }


def validation_error(node_errors: Mapping[str, Any], error: Any, targets: Sequence[str]) -> dict[str, Any]:
    """The error of a prompt that ComfyUI does not accept."""
    for node_id, found in node_errors.items():
        for reason in found.get("errors", ()):
            custom = reason.get("type") == "custom_validation_failed"
            return {
                "exception_type": "CustomValidationFailed" if custom else "ValidationFailed",
                "exception_message": f"{reason.get('message')}: {reason.get('details')}\n",
                "node_id": str(node_id),
                "node_type": str(found.get("class_type", "")),
            }
    said = error if isinstance(error, Mapping) else {}
    message = f"{said.get('message', 'the prompt is not valid')} {said.get('details', '')}".strip()
    return {"exception_type": "ValidationFailed", "exception_message": f"{message}\n", "node_id": targets[0]}


def is_out_of_memory(exception_type: str) -> bool:
    """Whether the device had no memory left, so that a fresh process may succeed."""
    return exception_type.startswith("torch.") and exception_type.endswith("OutOfMemoryError")


def is_device_lost(exception_type: str, message: str) -> bool:
    """Whether the device fails at every call from now on, as CUDA does after an illegal access."""
    return exception_type == "torch.AcceleratorError" or message.startswith(("CUDA error:", "HIP error:"))


def is_out_of_space(message: str) -> bool:
    return any(words in message for words in _NO_SPACE)


def _hidden(text: str, paths: Paths) -> str:
    for path, shown in paths:
        text = text.replace(path, shown)
    return text


def _frame(frame: str, paths: Paths) -> str:
    """A frame of a traceback with its file relative to ComfyUI or to the packages."""

    def relative(found: re.Match[str]) -> str:
        file = _hidden(found[1], paths)
        if _PACKAGES in file:
            file = file.rpartition(_PACKAGES)[2]
        return f'  File "{file.rpartition("/")[2] if file.startswith("/") else file}"'

    return _hidden(_FILE.sub(relative, frame), paths)


def _items(inputs: Any) -> Any:
    return inputs.items() if isinstance(inputs, Mapping) else ()


def _short(values: Any) -> list[Any]:
    listed = plain(values) if isinstance(values, (list, tuple)) else [plain(values)]
    return [_shortened(value) for value in listed[:_ITEMS]]


def _shortened(value: Any) -> Any:
    if isinstance(value, str) and len(value) > MAX_TEXT:
        return f"{value[:MAX_TEXT]}... ({len(value)} characters)"
    return value
