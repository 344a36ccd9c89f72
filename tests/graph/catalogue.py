"""Catalogues for graph tests: nodes as ComfyUI describes them, and small nodes declared in a line."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from safelight.core.node import InputSchema, NodeSchema, OutputSchema, Section

_OBJECT_INFO = Path(__file__).parent.parent / "golden" / "nodes" / "object_info.json"


@cache
def core_nodes() -> dict[str, NodeSchema]:
    """ComfyUI's own nodes, as captured."""
    return {name: schema_from(info) for name, info in json.loads(_OBJECT_INFO.read_text()).items()}


def schema_from(info: Mapping[str, Any]) -> NodeSchema:
    inputs = tuple(
        _input(name, info["input"][section.value][name], section)
        for section in Section
        for name in info["input_order"].get(section.value, ())
    )
    templates = info.get("output_matchtypes") or [None] * len(info["output"])
    outputs = tuple(
        OutputSchema("COMBO" if isinstance(kind, list) else kind, name, is_list, match_template=template)
        for kind, name, is_list, template in zip(
            info["output"], info["output_name"], info["output_is_list"], templates, strict=True
        )
    )
    return NodeSchema(
        name=info["name"],
        display_name=info["display_name"] or info["name"],
        category=info["category"],
        inputs=inputs,
        outputs=outputs,
        is_output=info["output_node"],
        listed_combos="api_node" not in info,
    )


def _input(name: str, written: Any, section: Section) -> InputSchema:
    if section is Section.HIDDEN:
        return InputSchema(name, written if isinstance(written, str) else written[0], section)
    kind, config = written[0], dict(written[1]) if len(written) > 1 else {}
    if isinstance(kind, list):
        kind, config = "COMBO", config | {"options": kind}
    return InputSchema(name, kind, section, config)


def node(
    name: str,
    inputs: Mapping[str, Any] | None = None,
    outputs: str = "",
    *,
    lists: bool | str = False,
    output: bool = False,
    hidden: str = "",
    **more: Any,
) -> NodeSchema:
    """``node("Mix", {"a": "IMAGE", "b?": ("IMAGE", {"lazy": True})}, "IMAGE MASK")``: a ``?`` makes an input optional.

    ``lists``: True for an ``INPUT_IS_LIST`` node; outputs whose type ends in ``[]`` are lists.
    """
    declared = []
    for key, kind in (inputs or {}).items():
        kind, config = kind if isinstance(kind, tuple) else (kind, {})
        section = Section.OPTIONAL if key.endswith("?") else Section.REQUIRED
        declared.append(InputSchema(key.removesuffix("?"), kind, section, config))
    declared += [InputSchema(kind.lower(), kind, Section.HIDDEN) for kind in hidden.split()]
    given = [OutputSchema(o.removesuffix("[]"), o.removesuffix("[]"), o.endswith("[]")) for o in outputs.split()]
    return NodeSchema(
        name=name,
        display_name=name,
        category="test",
        inputs=tuple(declared),
        outputs=tuple(given),
        is_output=output,
        input_is_list=bool(lists),
        **more,
    )
