"""What a node returned, in any of the accepted forms, as one :class:`Returned` or :class:`Blocked`."""

from collections.abc import Mapping, Sequence
from typing import Any

from safelight.core.node import NodeSchema
from safelight.graph.instructions import Blocked, Returned
from safelight.sdk.node import Blocker, NodeOutput
from safelight.sdk.plain import plain


def normalise(result: Any, schema: NodeSchema) -> Returned | Blocked:
    """Accepts ``NodeOutput``, a tuple of outputs, a dict of ``ui``, ``result``, ``expand``, a blocker or ``None``.

    Raises :class:`TypeError` for anything else.
    """
    if isinstance(result, Blocker):
        return Blocked(result.message)
    if isinstance(result, NodeOutput):
        ui = _ui(result.ui)
        if result.block_execution is not None:
            return Returned(tuple(Blocked(result.block_execution) for _ in schema.outputs), ui)
        return Returned(_values(result.values, schema), ui, result.expand)
    if isinstance(result, Mapping):
        given = result.get("result")
        ui, expand = _ui(result.get("ui")), result.get("expand")
        if isinstance(given, Blocker):
            return Returned(tuple(Blocked(given.message) for _ in schema.outputs), ui, expand)
        return Returned(_values(() if given is None else given, schema), ui, expand)
    if result is None:
        return Returned(_values((), schema))
    if isinstance(result, list | tuple):
        return Returned(_values(result, schema))
    if not schema.outputs:  # what a node without outputs returns is ignored, as in ComfyUI
        return Returned(())
    raise TypeError(f"the node returned {type(result).__name__}, not a tuple of its {len(schema.outputs)} outputs")


def _values(given: Any, schema: NodeSchema) -> Sequence[Any]:
    """An empty result means ``None`` for every output: nodes that only show something return that."""
    if not isinstance(given, list | tuple):
        raise TypeError(f"the node returned {type(given).__name__} as its result, not a tuple of its outputs")
    if not given:
        return (None,) * len(schema.outputs)
    return [_value(v, is_list=i < len(schema.outputs) and schema.outputs[i].is_list) for i, v in enumerate(given)]


def _value(value: Any, *, is_list: bool) -> Any:
    if isinstance(value, Blocker):
        return Blocked(value.message)
    if is_list and isinstance(value, list | tuple):
        return [Blocked(v.message) if isinstance(v, Blocker) else v for v in value]
    return value


def _ui(ui: Any) -> Mapping[str, Any] | None:
    """Return a dict of lists of plain data, as clients receive it."""
    if ui is None:
        return None
    shown = plain(ui.as_dict() if hasattr(ui, "as_dict") else ui)
    if not isinstance(shown, dict):
        raise TypeError(f"the node's ui is {type(ui).__name__}, not a dict of lists")
    return {key: value if isinstance(value, list) else [value] for key, value in shown.items()}
