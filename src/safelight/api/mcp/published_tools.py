"""Each of the caller's published workflows as a tool, whose arguments are the inputs that the workflow declares.

A workflow that was published in API format is run as it is; one in the editor's format is converted first
(``graph/editor_format.py``), and left out if that fails. The declared inputs are those of the app view
(``extra.linearData.inputs``); without them, every input with a value.
"""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from safelight.api.app import App
from safelight.api.mcp.job_tools import WAIT, run_graph
from safelight.api.mcp.tool import Tool, ToolCall, object_schema
from safelight.core.errors import InvalidPrompt
from safelight.core.node import Catalogue, InputSchema
from safelight.core.user import Principal
from safelight.graph.editor_format import to_prompt
from safelight.graph.prompt_format import is_workflow
from safelight.services import publication as publications

log = logging.getLogger(__name__)

MOST = 100
"""Published workflows that are tools: the newest."""
PREFIX = "workflow_"
_TYPES = {"INT": "integer", "FLOAT": "number", "STRING": "string", "BOOLEAN": "boolean", "COMBO": "string"}
_OPTIONS = 200


async def published_tools(app: App, who: Principal) -> list[Tool]:
    limit = app.settings.limits.max_published_bytes
    found = await app.db.read(lambda tx: publications.own_graphs(tx, who, at_most=MOST, max_bytes=limit))
    return await app.heavy.run(who.user_id, lambda: _tools(found, app.catalogue.current), is_heavy=bool(found))


def _tools(found: Sequence[tuple[str, Mapping[str, Any]]], catalogue: Catalogue) -> list[Tool]:
    tools: dict[str, Tool] = {}
    for name, document in found:
        graph = _graph(document, catalogue)
        if not graph:
            continue
        tool_name = _free_name(name, tools)
        tools[tool_name] = _tool(tool_name, name, graph, document, catalogue)
    return list(tools.values())


def _graph(document: Mapping[str, Any], catalogue: Catalogue) -> Mapping[str, Any]:
    """The graph that a published document runs; empty where it is none."""
    if not is_workflow(document):
        return {k: v for k, v in document.items() if isinstance(v, dict) and "class_type" in v}
    try:
        return to_prompt(document, catalogue)
    except InvalidPrompt as error:
        log.info("a published workflow is not a tool: %s", error.error.get("details"))
        return {}


def _tool(
    tool_name: str, name: str, graph: Mapping[str, Any], document: Mapping[str, Any], catalogue: Catalogue
) -> Tool:
    places = list(_places(graph, document))
    properties = {f"{node_id}.{field}": _schema(graph, node_id, field, catalogue) for node_id, field in places}

    async def run(call: ToolCall) -> Any:
        changed = {node_id: {**node, "inputs": dict(node.get("inputs") or {})} for node_id, node in graph.items()}
        for node_id, field in places:
            if f"{node_id}.{field}" in call.arguments:
                changed[node_id]["inputs"][field] = call.arguments[f"{node_id}.{field}"]
        return await run_graph(call, changed)

    schema = object_schema(wait_s=WAIT, metadata={"type": "object"})
    schema["properties"] |= properties
    return Tool(tool_name, f"Run the published workflow {name!r}.", schema, run)


def _places(graph: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    extra = document.get("extra")
    linear = extra.get("linearData") if isinstance(extra, Mapping) else None
    declared = linear.get("inputs") if isinstance(linear, Mapping) else None
    if isinstance(declared, list):
        for entry in declared:
            if isinstance(entry, list) and len(entry) >= 2 and str(entry[0]) in graph:
                yield str(entry[0]), str(entry[1])
        return
    for node_id, node in graph.items():
        for field, value in (node.get("inputs") or {}).items():
            if isinstance(value, str | int | float | bool):
                yield node_id, field


def _schema(graph: Mapping[str, Any], node_id: str, field: str, catalogue: Catalogue) -> dict[str, Any]:
    """The JSON schema of an input, with its present value as the default."""
    node = graph[node_id]
    known = catalogue.get(str(node["class_type"]))
    declared = known.input(field) if known is not None else None
    title = (node.get("_meta") or {}).get("title") or node["class_type"]
    schema: dict[str, Any] = {"description": f"{title}: {field}"}
    if "default" not in schema and field in (node.get("inputs") or {}):
        schema["default"] = node["inputs"][field]
    return schema | (_type(declared) if declared is not None else {})


def _type(declared: InputSchema) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": _TYPES[declared.type]} if declared.type in _TYPES else {}
    if declared.type in ("INT", "FLOAT"):
        schema |= {
            key: declared.config[name]
            for key, name in (("minimum", "min"), ("maximum", "max"))
            if name in declared.config
        }
    options = declared.options
    if options and len(options) <= _OPTIONS and all(isinstance(option, str) for option in options):
        schema["enum"] = options
    return schema


def _free_name(name: str, taken: Mapping[str, Tool]) -> str:
    """A name of the characters that every client accepts."""
    plain = PREFIX + (re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:40] or "unnamed")
    number = 2
    found = plain
    while found in taken:
        found, number = f"{plain}_{number}", number + 1
    return found
