"""Conditionings that were encoded before: in files, and in this package."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

import torch
from safetensors.torch import load, save_file

from safelight.core.errors import Invalid
from safelight.media.metadata import Metadata
from safelight.models.weights import Identity, identity_of, weight_file
from safelight.nodes.conditioning.options import Conditioning
from safelight.sdk import Node, NodeOutput, Schema, io, ui
from safelight.sdk.context import current

TENSOR = "conditioning"
OPTIONS = "conditioning_options"
"""The key of the metadata with the options that are no tensors, as JSON."""


class UnsavableConditioning(Invalid):
    """A conditioning with more than one entry, or with an option that a file cannot hold."""

    code = "unsavable_conditioning"


class LotusConditioning(Node):
    """The conditioning of Lotus, which estimates depth and normals: an empty prompt, encoded as it was in training."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LotusConditioning",
            category="conditioning/lotus",
            inputs=[],
            outputs=[io.Conditioning.Output(display_name="conditioning")],
        )

    @classmethod
    def execute(cls) -> NodeOutput:
        return NodeOutput([[_empty_prompt(), {}]])


@cache
def _empty_prompt() -> torch.Tensor:
    stored = files("safelight.models.data").joinpath("empty_prompt_of_sd2.safetensors").read_bytes()
    return load(stored)[TENSOR].float()


class ConditioningLoader(Node):
    """Load a conditioning that was saved before, from the folder of embeddings."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ConditioningLoader",
            display_name="Load Conditioning",
            category="conditioning",
            inputs=[io.Combo.Input("conditioning_name", model_folder="embeddings")],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def fingerprint_inputs(cls, conditioning_name: str) -> Identity:
        return identity_of(current().model_path("embeddings", conditioning_name))

    @classmethod
    def execute(cls, conditioning_name: str) -> NodeOutput:
        file = weight_file(current().model_path("embeddings", conditioning_name))
        tensors = {name: value.float().clone() for name, value in file.weights().read()}
        if TENSOR not in tensors:
            raise ValueError(f"{conditioning_name!r} contains no conditioning: the tensor {TENSOR!r} is missing")
        embedding = tensors.pop(TENSOR)
        options = json.loads(file.metadata.get(OPTIONS, "{}"))
        lists: dict[str, dict[int, torch.Tensor]] = {}
        for name, value in tensors.items():
            key, _, number = name.rpartition(".")
            if key and number.isdigit():
                lists.setdefault(key, {})[int(number)] = value
            else:
                options[name] = value
        options |= {key: [items[number] for number in sorted(items)] for key, items in lists.items()}
        return NodeOutput([[embedding if embedding.dim() == 3 else embedding[None], options]])


class SaveConditioning(Node):
    """Save a conditioning to the output folder, to load it later without its text encoder."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SaveConditioning",
            display_name="Save Conditioning",
            category="conditioning",
            inputs=[
                io.Conditioning.Input("conditioning"),
                io.String.Input("filename_prefix", default="conditioning/ComfyUI"),
            ],
            outputs=[io.Conditioning.Output()],
            is_output_node=True,
            hidden=["PROMPT", "EXTRA_PNGINFO"],
        )

    @classmethod
    def execute(cls, conditioning: Conditioning, filename_prefix: str) -> NodeOutput:
        if len(conditioning) != 1:
            raise UnsavableConditioning(f"conditioning has {len(conditioning)} entries; a file holds one")
        embedding, options = conditioning[0]
        tensors = {TENSOR: embedding.detach().cpu().contiguous()}
        plain: dict[str, Any] = {}
        for name, value in options.items():
            if value is None:
                continue
            if isinstance(value, torch.Tensor):
                tensors[name] = value.detach().cpu().contiguous()
            elif isinstance(value, list | tuple) and all(isinstance(one, torch.Tensor) for one in value):
                tensors |= {f"{name}.{number}": one.detach().cpu().contiguous() for number, one in enumerate(value)}
            elif isinstance(value, bool | int | float | str):
                plain[name] = value
            else:
                raise UnsavableConditioning(f"option {name!r} is a {type(value).__name__}, which a file cannot hold")
        file = current().open_series(filename_prefix).file(0, ".safetensors")
        metadata = Metadata(cls.hidden.prompt, cls.hidden.extra_pnginfo).texts()
        save_file(tensors, file.path, metadata={**metadata, OPTIONS: json.dumps(plain)})
        return NodeOutput(conditioning, ui=ui.SavedFiles("conditioning", [file]))
