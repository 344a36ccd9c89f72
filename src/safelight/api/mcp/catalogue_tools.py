"""Tools that answer from the catalogue and from the model files, and the one that validates a graph."""

from typing import Any

from safelight.api.comfy.object_info import node_info
from safelight.api.mcp.tool import Tool, ToolCall, object_schema
from safelight.core.errors import InvalidPrompt, NotFound
from safelight.core.node import NodeSchema
from safelight.services.submission import Draft

_MOST = 50


async def search_nodes(call: ToolCall) -> Any:
    words = call.text("query").lower().split()
    limit = call.number("limit", default=20, most=_MOST)
    await call.app.catalogue.wait_known()
    found = [node for node in call.app.catalogue.current.values() if all(word in _searched(node) for word in words)]
    found.sort(key=lambda node: (not all(word in node.name.lower() for word in words), node.name))
    return {"nodes": [_short(node) for node in found[:limit]], "total": len(found)}


async def get_node(call: ToolCall) -> Any:
    await call.app.catalogue.wait_known()
    node = call.app.catalogue.current.get(call.text("name"))
    if node is None:
        raise NotFound(f"there is no node {call.text('name')[:80]!r}")
    return node_info(node, call.app.catalogue.engines_with(node.name))


async def search_models(call: ToolCall) -> Any:
    query, folder = call.text("query", "").lower(), call.arguments.get("folder")
    limit = call.number("limit", default=_MOST, most=500)
    folders = [name for name in call.app.models.folders() if folder in (None, name)]
    found = [
        {"folder": name, "name": model}
        for name in folders
        for model in call.app.models.names(name)
        if query in model.lower()
    ]
    return {"models": found[:limit], "total": len(found)}


async def validate(call: ToolCall) -> Any:
    try:
        prepared = await call.app.submissions.prepare(call.who, Draft(prompt=call.mapping("workflow")))
    except InvalidPrompt as error:
        return {"valid": False, "error": error.error, "node_errors": error.node_errors}
    return {"valid": not prepared.node_errors, "node_errors": prepared.node_errors}


def _searched(node: NodeSchema) -> str:
    return " ".join((node.name, node.display_name, node.category, node.description, *node.search_aliases)).lower()


def _short(node: NodeSchema) -> dict[str, Any]:
    return {
        "name": node.name,
        "display_name": node.display_name,
        "category": node.category,
        "description": node.description[:200],
        "inputs": {declared.id: declared.type for declared in node.inputs if not declared.is_filled_in},
        "outputs": [output.type for output in node.outputs],
    }


_LIMIT = {"type": "integer", "minimum": 0}
WORKFLOW = {
    "type": "object",
    "description": "A graph in API format, {id: {class_type, inputs}}; links are [id, output].",
}

TOOLS = (
    Tool(
        "search_nodes",
        "Find nodes whose name, category or description has all words of the query.",
        object_schema(("query",), query={"type": "string"}, limit=_LIMIT),
        search_nodes,
    ),
    Tool(
        "get_node",
        "The inputs and outputs of a node, with types, defaults, ranges and options.",
        object_schema(("name",), name={"type": "string"}),
        get_node,
    ),
    Tool(
        "search_models",
        "Find model files by a part of their name; folder is one such as checkpoints, loras or vae.",
        object_schema(query={"type": "string"}, folder={"type": "string"}, limit=_LIMIT),
        search_models,
    ),
    Tool(
        "validate_workflow",
        "Check a graph without running it; the answer lists the errors of each node.",
        object_schema(("workflow",), workflow=WORKFLOW),
        validate,
    ),
)
