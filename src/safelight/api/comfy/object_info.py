"""A node's schema as ComfyUI's clients read it (``/api/object_info``)."""

from collections.abc import Mapping, Sequence
from typing import Any

from safelight.core.engine_kind import EngineKind
from safelight.core.node import HIDDEN_FORM, InputSchema, NodeSchema, Section
from safelight.core.upload_mark import INPUT_LISTING


def node_info(schema: NodeSchema, engines: Sequence[EngineKind]) -> dict[str, Any]:
    """The contract's ``NodeInfo``, and in ``engines`` the engine kinds that have the node. A combo has the form of its
    author's API: ``[[...], {}]`` for a V1 node, ``["COMBO", {"options": [...]}]`` for a V3 node; clients parse both."""
    sections: dict[str, dict[str, Any]] = {}
    order: dict[str, list[str]] = {}
    for section in (Section.REQUIRED, Section.OPTIONAL, Section.HIDDEN):
        for declared in schema.section(section):
            sections.setdefault(section.value, {})[declared.id] = _input(declared, schema)
            order.setdefault(section.value, []).append(declared.id)
    sections.setdefault(Section.REQUIRED.value, {})
    order.setdefault(Section.REQUIRED.value, [])
    info: dict[str, Any] = {
        "input": sections,
        "input_order": order,
        "output": [list(o.options) if o.options is not None else o.type for o in schema.outputs],
        "output_is_list": [o.is_list for o in schema.outputs],
        "output_name": [o.name for o in schema.outputs],
        "name": schema.name,
        "display_name": schema.display_name,
        "description": schema.description,
        "python_module": schema.module,
        "category": schema.category,
        "output_node": schema.is_output,
        "deprecated": schema.deprecated,
        "experimental": schema.experimental,
        "api_node": schema.api_node,
        "engines": list(engines),
    }
    if any(o.tooltip for o in schema.outputs):
        info["output_tooltips"] = [o.tooltip or "" for o in schema.outputs]
    if any(o.match_template for o in schema.outputs):
        info["output_matchtypes"] = [o.match_template for o in schema.outputs]
    if schema.search_aliases:
        info["search_aliases"] = list(schema.search_aliases)
    if schema.essentials_category:
        info["essentials_category"] = schema.essentials_category
    return info


def _input(declared: InputSchema, schema: NodeSchema) -> Any:
    if declared.section is Section.HIDDEN:
        written = declared.config.get(HIDDEN_FORM, declared.type)
        return written if schema.listed_combos else [written]
    config: Mapping[str, Any] = {k: v for k, v in declared.config.items() if k != INPUT_LISTING}
    if declared.options is not None and schema.listed_combos:
        return [declared.options, {k: v for k, v in config.items() if k != "options"}]
    return [declared.type, config]
