"""The part of a workflow that may be shared: everything except credentials."""

import json
import re
from collections.abc import Mapping
from typing import Any

from safelight.core.errors import Invalid

MAX_DEPTH = 128
"""Levels of nested objects and arrays; a workflow with sub-graphs in sub-graphs stays below 40."""

_NAME = re.compile(
    r"(auth_token|api_?key|access_?key|secret|passw(or)?d|passphrase|credentials?|authorization|bearer|"
    r"access_?token|refresh_?token|id_?token|hf_?token|civitai_?token|private_?key)(_comfy_org)?|token",
    re.IGNORECASE,
)
"""Names of fields and widgets that hold a credential, also with a prefix (``openai_api_key``)."""
_VALUE = re.compile(
    r"comfyui-[A-Za-z0-9_-]{16,}|sk-[A-Za-z0-9_-]{16,}|hf_[A-Za-z0-9]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|AKIA[0-9A-Z]{16}|"
    r"AIza[0-9A-Za-z_-]{30,}|xox[abprs]-[A-Za-z0-9-]{10,}|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"
)
"""Patterns of the keys of well-known services, in any field."""
_URL_USER = re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+@")


def read_document(data: bytes) -> Mapping[str, Any]:
    """Read a workflow file. Raises :class:`Invalid` if it is not a JSON object, or nested too deep."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise Invalid("The file is not a workflow: it is not JSON") from None
    if not isinstance(document, dict):
        raise Invalid("The file is not a workflow: it is not a JSON object")
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH):
        level = [child for container in level for child in _children(container)]
    if level:
        raise Invalid(f"The workflow is nested deeper than {MAX_DEPTH} levels")
    return document


def without_credentials(document: Mapping[str, Any]) -> dict[str, Any]:
    """The same document with an empty text for every credential.

    By the name of its field, by the look of its value, and in a node of the web UI that has a widget for one: such a
    node keeps its widgets' values as a bare list, whose order only its code knows, so that all its texts go.
    """
    return {name: _clean_field(name, value) for name, value in document.items()}


def _clean_field(name: str, value: Any) -> Any:
    if isinstance(value, str) and is_credential_name(name):
        return ""
    return _clean(value)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _clean_text(value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if not isinstance(value, dict):
        return value
    clean = {name: _clean_field(name, item) for name, item in value.items()}
    if isinstance(clean.get("widgets_values"), list) and _asks_for_credential(value):
        clean["widgets_values"] = ["" if isinstance(item, str) else item for item in clean["widgets_values"]]
    return clean


def is_credential_name(name: str) -> bool:
    return any(_NAME.fullmatch(name[start:]) for start in _starts(name))


def _starts(name: str) -> list[int]:
    """The starts of the words in ``openai_api_key``, ``openaiApiKey`` and ``openai api-key``."""
    return [0, *(match.end() for match in re.finditer(r"[_\-. ]|(?<=[a-z])(?=[A-Z])", name))]


def _clean_text(text: str) -> str:
    return _URL_USER.sub("", _VALUE.sub("", text))


def _asks_for_credential(node: Mapping[str, Any]) -> bool:
    inputs = node.get("inputs")
    return isinstance(inputs, list) and any(is_credential_name(name) for slot in inputs for name in _slot_names(slot))


def _slot_names(slot: Any) -> list[str]:
    if not isinstance(slot, dict):
        return []
    widget = slot.get("widget")
    names = (slot.get("name"), widget.get("name") if isinstance(widget, dict) else None)
    return [name for name in names if isinstance(name, str)]


def _children(container: Any) -> list[Any]:
    items = container.values() if isinstance(container, dict) else container
    return [item for item in items if isinstance(item, dict | list)]
