"""The library's nodes as V1 classes, for packs that call or subclass other nodes.

``view_of(LoadImage)().load_image("a.png")`` returns the tuple of its outputs. The method's name, and the order
of its positional arguments, are ComfyUI's (``v1_methods``).
"""

import inspect
from collections.abc import Mapping
from typing import Any

from safelight.core.node import InputSchema, NodeSchema, Section
from safelight.sdk.node import Hidden, Node, NodeOutput
from safelight.sdk.v1 import V1Node
from safelight.shims.v1_methods import METHODS, POSITIONS

_LISTS = {"upscale_methods": "upscale_method", "crop_methods": "crop"}
"""Lists that ComfyUI's scaling nodes have as attributes, and the inputs that offer them."""


def view_of(node: type[Node]) -> type:
    """Return the V1 class of a node; a V1 node is its own view."""
    if issubclass(node, V1Node):
        source: type = node.source
        return source
    schema = node.node_schema()
    method = METHODS.get(schema.name, "execute")
    attributes: dict[str, Any] = {
        "INPUT_TYPES": classmethod(lambda cls: input_types(schema)),
        "RETURN_TYPES": tuple(list(o.options) if o.options is not None else o.type for o in schema.outputs),
        "RETURN_NAMES": tuple(o.name for o in schema.outputs),
        "OUTPUT_IS_LIST": tuple(o.is_list for o in schema.outputs),
        "INPUT_IS_LIST": schema.input_is_list,
        "OUTPUT_NODE": schema.is_output,
        "CATEGORY": schema.category,
        "DESCRIPTION": schema.description,
        "FUNCTION": method,
        "define_schema": node.define_schema,
        "execute": classmethod(lambda cls, *args, **inputs: run(node, schema, args, inputs)),
        "__module__": node.__module__,
        "__doc__": node.__doc__,
    }
    attributes[method] = classmethod(lambda cls, *args, **inputs: run(node, schema, args, inputs))
    attributes |= _lists(schema)
    if schema.name == "VAEEncode":
        attributes["vae_encode_crop_pixels"] = staticmethod(cropped_to_eighths)
    for v1_name, name in (("IS_CHANGED", "fingerprint_inputs"), ("VALIDATE_INPUTS", "validate_inputs")):
        if hasattr(node, name):
            attributes[v1_name] = getattr(node, name)
    return type(node.__name__, (), attributes)


def run(node: type[Node], schema: NodeSchema, args: tuple[Any, ...], inputs: Mapping[str, Any]) -> Any:
    """Return a tuple of outputs, or a dict with ``ui`` and ``result``; a coroutine for an async node.

    Raises :class:`TypeError` for too many arguments, or for an input that is given twice."""
    values = _named(schema, args, inputs)
    hidden = {i.type.lower(): values.pop(i.id, None) for i in schema.section(Section.HIDDEN)}
    bound: Any = type(node.__name__, (node,), {"hidden": Hidden(**hidden)}) if hidden else node
    result = bound.execute(**values)
    return _awaited(result) if inspect.isawaitable(result) else _as_v1(result)


def cropped_to_eighths(pixels: Any) -> Any:
    """Return the middle of ``[B, H, W, C]`` whose sides are multiples of 8. ``VAEEncode`` does it by itself; packs
    still call this method of an old version of the node."""
    height, width = (side // 8 * 8 for side in pixels.shape[1:3])
    top, left = (pixels.shape[1] - height) // 2, (pixels.shape[2] - width) // 2
    return pixels[:, top : top + height, left : left + width, :]


def _lists(schema: NodeSchema) -> dict[str, list[Any]]:
    offered = {name: schema.input(input_id) for name, input_id in _LISTS.items()}
    return {name: list(i.options) for name, i in offered.items() if i is not None and i.options}


def _named(schema: NodeSchema, args: tuple[Any, ...], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return all arguments by name. Hidden inputs follow the others, as in ComfyUI's methods."""
    visible = POSITIONS.get(schema.name) or [i.id for i in schema.inputs if i.section is not Section.HIDDEN]
    names = [*visible, *(i.id for i in schema.section(Section.HIDDEN))]
    if len(args) > len(names):
        raise TypeError(f"{schema.name} takes {len(names)} arguments, but {len(args)} were given")
    values = dict(zip(names, args, strict=False))
    for name in values.keys() & inputs.keys():
        raise TypeError(f"{schema.name} got several values for {name!r}")
    return values | dict(inputs)


async def _awaited(result: Any) -> Any:
    return _as_v1(await result)


def _as_v1(result: Any) -> Any:
    if not isinstance(result, NodeOutput):
        return result
    if result.ui is None and result.expand is None:
        return result.values
    given = {"ui": result.ui, "result": result.values, "expand": result.expand}
    return {key: value for key, value in given.items() if value is not None}


def input_types(schema: NodeSchema) -> dict[str, dict[str, Any]]:
    """Return the schema in the form of a V1 class's ``INPUT_TYPES``."""
    written: dict[str, dict[str, Any]] = {"required": {}}
    for declared in schema.inputs:
        section = written.setdefault(declared.section.value, {})
        section[declared.id] = declared.type if declared.section is Section.HIDDEN else _spec(declared)
    return written


def _spec(declared: InputSchema) -> tuple[Any, ...]:
    config = dict(declared.config)
    if declared.type != "COMBO":
        return (declared.type, config)
    options = config.pop("options", [])
    return (list(options), config)
