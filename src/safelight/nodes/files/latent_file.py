"""Save latents to files and load them: safetensors with the tensor ``latent_tensor`` and an empty version marker."""

from typing import Any

import torch
from safetensors.torch import load_file, save_file

from safelight.media.metadata import Metadata
from safelight.media.weights_format import check_weights
from safelight.nodes.files.input_file import check_input_file, content_digest, input_file
from safelight.sdk import Node, NodeOutput, Schema, current, io, ui

_VERSION = "latent_format_version_0"
_OLD_SCALE = 1.0 / 0.18215
"""Files without the marker contain latents on the scale of Stable Diffusion 1's network."""


class SaveLatent(Node):
    """Save latents as a file in the output folder, with the workflow embedded."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SaveLatent",
            category="_for_testing",
            search_aliases=["export latent"],
            listed_combos=True,
            is_output_node=True,
            inputs=[io.Latent.Input("samples"), io.String.Input("filename_prefix", default="latents/ComfyUI")],
            hidden=["PROMPT", "EXTRA_PNGINFO"],
        )

    @classmethod
    def execute(cls, samples: dict[str, Any], filename_prefix: str) -> NodeOutput:
        file = current().open_series(filename_prefix).file(0, ".latent")
        tensors = {"latent_tensor": samples["samples"].detach().cpu().contiguous(), _VERSION: torch.tensor([])}
        metadata = Metadata(cls.hidden.prompt, cls.hidden.extra_pnginfo)
        save_file(tensors, file.path, metadata=metadata.texts())
        return NodeOutput(ui=ui.SavedFiles("latents", [file]))


class LoadLatent(Node):
    """Load latents from a file."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LoadLatent",
            category="_for_testing",
            search_aliases=["import latent"],
            listed_combos=True,
            inputs=[io.Combo.Input("latent")],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def validate_inputs(cls, latent: str) -> bool | str:
        return check_input_file(latent, kind="latent")

    @classmethod
    def fingerprint_inputs(cls, latent: str) -> str:
        return content_digest(latent)

    @classmethod
    def execute(cls, latent: str) -> NodeOutput:
        with input_file(latent) as path:
            check_weights(path)
            tensors = load_file(path, device="cpu")
        if "latent_tensor" not in tensors:
            raise ValueError(f"{latent!r} contains no latent: the tensor 'latent_tensor' is missing")
        samples = tensors["latent_tensor"].float()
        return NodeOutput({"samples": samples if _VERSION in tensors else samples * _OLD_SCALE})
