"""ComfyUI's nodes as the server's declarations of nodes, read from what ComfyUI itself answers at ``/object_info``.

Some facts are not in that answer and are read from the node's class: which inputs its own code validates, and whether
it has a fingerprint.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from .codec import plain
from .model_combos import ModelCombo

_SECTIONS = ("required", "optional", "hidden")
_FACTS = {
    "is_output": "output_node",
    "deprecated": "deprecated",
    "experimental": "experimental",
    "api_node": "api_node",
}


def schemas(
    infos: Mapping[str, Any], classes: Mapping[str, Any], combos: Mapping[tuple[str, str], ModelCombo]
) -> Iterator[dict[str, Any]]:
    """Yield the declaration of each node. ``infos``: ComfyUI's answer; ``classes``: the classes of nodes by name;
    ``combos``: those that list a folder of models, by node and input."""
    for name, info in infos.items():
        if name in classes and isinstance(info, Mapping):
            yield _schema(str(name), info, classes[name], combos)


def _schema(
    name: str, info: Mapping[str, Any], node_class: Any, combos: Mapping[tuple[str, str], ModelCombo]
) -> dict[str, Any]:
    is_v1 = not hasattr(node_class, "GET_NODE_INFO_V1")
    names, has_validator = _validated(node_class, is_v1=is_v1)
    return {
        "name": name,
        "display_name": _text(info.get("display_name") or name),
        "category": _text(info.get("category") or "sd"),
        "inputs": [_listing(one, combos.get((name, one["id"]))) for one in _inputs(info.get("input") or {})],
        "outputs": list(_outputs(info)),
        "description": _text(info.get("description") or ""),
        "module": _text(info.get("python_module") or "nodes"),
        **{fact: bool(info.get(key)) for fact, key in _FACTS.items()},
        "input_is_list": bool(getattr(node_class, "INPUT_IS_LIST", False)),
        "listed_combos": is_v1,
        "not_idempotent": bool(getattr(node_class, "NOT_IDEMPOTENT", False)),
        "has_validator": has_validator,
        "validated_inputs": [each for each in names if each != "input_types"],
        "validates_types": "input_types" in names,
        "has_fingerprint": _has(node_class, "IS_CHANGED" if is_v1 else "fingerprint_inputs", is_v1=is_v1),
        "search_aliases": [_text(each) for each in info.get("search_aliases") or ()],
        "essentials_category": plain(info.get("essentials_category")),
    }


def _inputs(sections: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for section in _SECTIONS:
        declared = sections.get(section)
        for name, spec in declared.items() if isinstance(declared, Mapping) else ():
            kind, config = _spec(spec)
            if section == "hidden":
                yield {"id": _text(name), "type": _text(kind), "section": section}
            elif isinstance(kind, list):
                yield {"id": _text(name), "type": "COMBO", "section": section, "config": config | {"options": kind}}
            else:
                yield {"id": _text(name), "type": _text(kind), "section": section, "config": config}


def _listing(declared: dict[str, Any], combo: ModelCombo | None) -> dict[str, Any]:
    """The input; a combo of models names its folder, whose files the server lists."""
    if combo is None or declared["type"] != "COMBO":
        return declared
    config = declared["config"]
    options = combo.without_listed(config.get("options") or ())
    return {**declared, "config": {**config, "options": options, "model_folder": combo.folder}}


def _spec(spec: Any) -> tuple[Any, dict[str, Any]]:
    """The type and the options of an input. Some packs write the type alone."""
    if not isinstance(spec, (list, tuple)):
        return spec, {}
    kind = spec[0] if spec else "*"
    config = spec[1] if len(spec) > 1 and isinstance(spec[1], Mapping) else {}
    return (_bounded(kind), _bounded(plain(config)))


def _outputs(info: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    types = info.get("output") or ()
    for index, kind in enumerate(types):
        options = list(kind) if isinstance(kind, (list, tuple)) else None
        written = "COMBO" if options is not None else _text(kind)
        yield {
            "type": written,
            "name": _text(_at(info.get("output_name"), index) or written),
            "is_list": bool(_at(info.get("output_is_list"), index)),
            "tooltip": plain(_at(info.get("output_tooltips"), index)),
            "match_template": plain(_at(info.get("output_matchtypes"), index)),
            "options": options,
        }


def _validated(node_class: Any, *, is_v1: bool) -> tuple[tuple[str, ...], bool]:
    """The inputs that the node's own code validates (``*`` for all), and whether it has such code."""
    name = "VALIDATE_INPUTS" if is_v1 else "validate_inputs"
    if not _has(node_class, name, is_v1=is_v1):
        return (), False
    try:
        parameters = list(inspect.signature(getattr(node_class, name)).parameters.values())
    except (TypeError, ValueError):
        return ("*",), True
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return ("*",), True
    return tuple(one.name for one in parameters), True


def _has(node_class: Any, name: str, *, is_v1: bool) -> bool:
    """Whether a class has a method of its author's; classes of the newer form inherit one that only raises."""
    if is_v1:
        return hasattr(node_class, name)
    for base in getattr(node_class, "__mro__", ()):
        if name in vars(base):
            return not base.__module__.startswith("comfy_api.")
    return False


def _bounded(value: Any) -> Any:
    """``value`` without integers beyond 64 bits: such bounds mean "any number"."""
    if isinstance(value, Mapping):
        return {key: _bounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_bounded(item) for item in value]
    if type(value) is int and not -(2**63) <= value < 2**64:
        return float(value)
    return value


def _at(items: Any, index: int) -> Any:
    return items[index] if isinstance(items, (list, tuple)) and index < len(items) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)
