"""The library's nodes as V1 classes, for packs that call or subclass other nodes.

``view_of(LoadImage)().load_image("a.png")`` returns the tuple of its outputs. The method has ComfyUI's name if it is in
:data:`METHODS`, otherwise ``execute``; positional arguments are the inputs in declaration order.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from safelight.core.node import InputSchema, NodeSchema, Section
from safelight.sdk.node import Hidden, Node, NodeOutput
from safelight.sdk.v1 import V1Node

METHODS = {
    "CLIPLoader": "load_clip",
    "CLIPSetLastLayer": "set_last_layer",
    "CLIPTextEncode": "encode",
    "CheckpointLoaderSimple": "load_checkpoint",
    "ConditioningAverage": "addWeighted",
    "ConditioningCombine": "combine",
    "ConditioningConcat": "concat",
    "ConditioningSetArea": "append",
    "ConditioningSetAreaPercentage": "append",
    "ConditioningSetAreaStrength": "append",
    "ConditioningSetMask": "append",
    "ConditioningSetTimestepRange": "set_range",
    "ConditioningZeroOut": "zero_out",
    "ControlNetApply": "apply_controlnet",
    "ControlNetApplyAdvanced": "apply_controlnet",
    "ControlNetLoader": "load_controlnet",
    "DualCLIPLoader": "load_clip",
    "EmptyImage": "generate",
    "EmptyLatentImage": "generate",
    "EmptySD3LatentImage": "generate",
    "FluxGuidance": "append",
    "ImageBatch": "batch",
    "ImageInvert": "invert",
    "ImagePadForOutpaint": "expand_image",
    "ImageScale": "upscale",
    "ImageScaleBy": "upscale",
    "InpaintModelConditioning": "encode",
    "KSampler": "sample",
    "KSamplerAdvanced": "sample",
    "LatentBlend": "blend",
    "LatentComposite": "composite",
    "LatentCrop": "crop",
    "LatentFlip": "flip",
    "LatentFromBatch": "frombatch",
    "LatentRotate": "rotate",
    "LatentUpscale": "upscale",
    "LatentUpscaleBy": "upscale",
    "LoadImage": "load_image",
    "LoadImageMask": "load_image",
    "LoadLatent": "load",
    "LoraLoader": "load_lora",
    "LoraLoaderModelOnly": "load_lora_model_only",
    "ModelMergeSimple": "merge",
    "ModelSamplingDiscrete": "patch",
    "ModelSamplingFlux": "patch",
    "ModelSamplingSD3": "patch",
    "RepeatLatentBatch": "repeat",
    "SaveLatent": "save",
    "SetLatentNoiseMask": "set_mask",
    "UNETLoader": "load_unet",
    "VAEDecode": "decode",
    "VAEDecodeTiled": "decode",
    "VAEEncode": "encode",
    "VAEEncodeForInpaint": "encode",
    "VAEEncodeTiled": "encode",
    "VAELoader": "load_vae",
}
"""The method names of the nodes that are V1 classes in ComfyUI."""


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
    if method != "execute":
        attributes[method] = lambda self, *args, **inputs: run(node, schema, args, inputs)
    for v1_name, name in (("IS_CHANGED", "fingerprint_inputs"), ("VALIDATE_INPUTS", "validate_inputs")):
        if hasattr(node, name):
            attributes[v1_name] = getattr(node, name)
    return type(node.__name__, (), attributes)


def run(node: type[Node], schema: NodeSchema, args: tuple[Any, ...], inputs: Mapping[str, Any]) -> Any:
    """Return a tuple of outputs, or a dict with ``ui`` and ``result``; a coroutine for an async node."""
    visible = [i.id for i in schema.inputs if i.section is not Section.HIDDEN]
    values = dict(zip(visible, args, strict=False)) | dict(inputs)
    hidden = {i.type.lower(): values.pop(i.id, None) for i in schema.section(Section.HIDDEN)}
    bound: Any = type(node.__name__, (node,), {"hidden": Hidden(**hidden)}) if hidden else node
    result = bound.execute(**values)
    return _awaited(result) if inspect.isawaitable(result) else _as_v1(result)


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
