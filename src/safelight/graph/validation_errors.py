"""The errors of a prompt in ComfyUI's vocabulary: those of a node, and those of the whole prompt.

Existing clients read every shape here. Exceptions have the texts that ComfyUI's clients know; tracebacks are empty,
because they would name files of the server.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from safelight.core.errors import InvalidPrompt
from safelight.core.node import InputSchema, NodeSchema

NodeError = dict[str, Any]
"""``{"type", "message", "details", "extra_info"}``."""

LONG_LIST = 20
"""Errors do not list the options of a combo with more than this."""


def invalid_prompt(message: str, details: str = "") -> InvalidPrompt:
    return InvalidPrompt(_error("invalid_prompt", message, details), {})


def missing_node(node_id: str, node: Mapping[str, Any], where: str) -> InvalidPrompt:
    """The node's class is unknown. The web UI reads this error type to show which nodes are missing. ``where``: where
    the node is, and where it could come from."""
    class_type, meta = node.get("class_type"), node.get("_meta")
    title = meta.get("title") if isinstance(meta, Mapping) else None
    error = _error("missing_node_type", f"Cannot execute because node {class_type} does not exist.", where)
    named = {"node_id": node_id, "class_type": class_type, "node_title": title or class_type}
    return InvalidPrompt({**error, "extra_info": named}, {})


def no_engine(lacking: Mapping[str, Sequence[str]], reasons: Mapping[str, str]) -> InvalidPrompt:
    """Each engine kind lacks something that the prompt needs. ``lacking``: by kind, the node types that it does not
    have; ``reasons``: by kind, what else it cannot do."""
    lines = [f"{kind} has no {', '.join(types)}" for kind, types in lacking.items()]
    lines += [f"{kind}: {reason}" for kind, reason in reasons.items()]
    return invalid_prompt("No engine of this server can run this prompt.", "; ".join(lines))


def workflow_instead() -> InvalidPrompt:
    message = "This is a workflow in the editor's format, not a prompt in API format"
    return invalid_prompt(message, "open it in the web UI and export it as API (Workflow > Export (API))")


def no_outputs() -> InvalidPrompt:
    return InvalidPrompt(_error("prompt_no_outputs", "Prompt has no outputs", ""), {})


def outputs_failed(details: Sequence[str], node_errors: Mapping[str, Any]) -> InvalidPrompt:
    error = _error("prompt_outputs_failed_validation", "Prompt outputs failed validation", "\n".join(details))
    return InvalidPrompt(error, node_errors)


def line(error: NodeError) -> str:
    """Return an error of a node as one line of the prompt's ``details``."""
    return f"{error['message']}: {error['details']}"


def input_config(schema: NodeSchema, declared: InputSchema) -> list[Any]:
    """Return the declaration as ``object_info`` writes it; clients show it beside the error."""
    config = dict(declared.config)
    if declared.options is not None and schema.listed_combos:
        config.pop("options", None)
        return [declared.options, config]
    return [declared.type, config]


def missing(name: str) -> NodeError:
    return _error("required_input_missing", "Required input is missing", name, {"input_name": name})


def bad_link(schema: NodeSchema, declared: InputSchema, value: Any) -> NodeError:
    message = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
    return _error("bad_linked_input", message, declared.id, _received(schema, declared, value))


def type_mismatch(schema: NodeSchema, declared: InputSchema, value: Any, *, received: str, wanted: str) -> NodeError:
    details = f"{declared.id}, received_type({received}) mismatch input_type({wanted})"
    extra = {
        "input_name": declared.id,
        "input_config": input_config(schema, declared),
        "received_type": received,
        "linked_node": value,
    }
    return _error("return_type_mismatch", "Return type mismatch between linked nodes", details, extra)


def not_convertible(schema: NodeSchema, declared: InputSchema, value: Any, reason: str) -> NodeError:
    """Also for a literal in an input that only takes links."""
    message = f"Failed to convert an input value to a {declared.type} value"
    extra = _received(schema, declared, value) | {"exception_message": reason}
    return _error("invalid_input_type", message, f"{declared.id}, {value}, {reason}", extra)


def too_small(schema: NodeSchema, declared: InputSchema, value: Any) -> NodeError:
    message = f"Value {value} smaller than min of {declared.config['min']}"
    return _error("value_smaller_than_min", message, declared.id, _received(schema, declared, value))


def too_big(schema: NodeSchema, declared: InputSchema, value: Any) -> NodeError:
    message = f"Value {value} bigger than max of {declared.config['max']}"
    return _error("value_bigger_than_max", message, declared.id, _received(schema, declared, value))


def not_in_list(schema: NodeSchema, declared: InputSchema, value: Any, options: Sequence[Any]) -> NodeError:
    extra = _received(schema, declared, value)
    if len(options) > LONG_LIST:
        extra["input_config"] = None
        listed = f"(list of length {len(options)})"
    else:
        listed = str(list(options))
    return _error("value_not_in_list", "Value not in list", f"{declared.id}: '{value}' not in {listed}", extra)


def custom(name: str, reason: str | None) -> NodeError:
    details = name if reason is None else f"{name} - {reason}"
    return _error("custom_validation_failed", "Custom validation failed for node", details, {"input_name": name})


def exception(exception_type: str, details: str) -> NodeError:
    """For an output node that was requested."""
    extra = {"exception_type": exception_type, "traceback": []}
    return _error("exception_during_validation", "Exception when validating node", details, extra)


def inner_exception(
    exception_type: str, details: str, *, schema: NodeSchema, declared: InputSchema | None, link: Any
) -> NodeError:
    """For a node upstream; ``declared`` is the input of ``schema`` through which it was reached, by ``link``."""
    extra = {
        "input_name": declared.id if declared else "",
        "input_config": input_config(schema, declared) if declared else None,
        "exception_message": details,
        "exception_type": exception_type,
        "traceback": [],
        "linked_node": link,
    }
    return _error("exception_during_inner_validation", "Exception when validating inner node", details, extra)


def cycle(path: Sequence[str]) -> NodeError:
    """``path``: the calls of the cycle in data-flow order, each once."""
    return _error("dependency_cycle", "Dependency cycle detected", cycle_text(path), {"cycle": list(path[:LONG_LIST])})


def cycle_text(path: Sequence[str]) -> str:
    """Return ``1 -> 3 -> 1``; the middle of a long cycle is left out."""
    shown = [*path, path[0]]
    if len(shown) > LONG_LIST:
        shown = [*shown[: LONG_LIST // 2], "...", *shown[-LONG_LIST // 2 :]]
    return " -> ".join(shown)


def _received(schema: NodeSchema, declared: InputSchema, value: Any) -> dict[str, Any]:
    return {
        "input_name": declared.id,
        "input_config": input_config(schema, declared),
        "received_value": value,
    }


def _error(kind: str, message: str, details: str, extra_info: dict[str, Any] | None = None) -> NodeError:
    return {"type": kind, "message": message, "details": details, "extra_info": extra_info or {}}
