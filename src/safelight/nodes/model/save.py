"""Nodes that save models to files, including the changes that nodes made to their weights."""

import json
from typing import Any

from safelight.models.autoencoder.image_autoencoder import ImageAutoencoder
from safelight.models.diffusion_model import DiffusionModel
from safelight.models.saving import (
    Tensors,
    autoencoder_tensors,
    metadata_of,
    model_tensors,
    text_tensors,
    write,
)
from safelight.models.text.encoder import TextEncoder
from safelight.nodes.conditioning.encode import require_text_encoder
from safelight.nodes.latent.autoencoder import require_autoencoder
from safelight.sdk import Node, NodeOutput, Schema, io
from safelight.sdk.context import current

_HIDDEN = ("PROMPT", "EXTRA_PNGINFO")


class CheckpointSave(Node):
    """Save a model, its text encoder and its VAE to one checkpoint file."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _schema(
            "CheckpointSave",
            [io.Model.Input("model"), io.Clip.Input("clip"), io.Vae.Input("vae")],
            "checkpoints/ComfyUI",
            display_name="Save Checkpoint",
        )

    @classmethod
    def execute(
        cls, model: DiffusionModel, clip: TextEncoder, vae: ImageAutoencoder, filename_prefix: str
    ) -> NodeOutput:
        tensors = model_tensors(model) | text_tensors(require_text_encoder(clip), in_checkpoint=True)
        tensors |= autoencoder_tensors(require_autoencoder(vae))
        return _saved(cls, filename_prefix, tensors, metadata_of(model))


class ModelSave(Node):
    """Save a diffusion model alone to a file."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _schema("ModelSave", [io.Model.Input("model")], "diffusion_models/ComfyUI")

    @classmethod
    def execute(cls, model: DiffusionModel, filename_prefix: str) -> NodeOutput:
        return _saved(cls, filename_prefix, model_tensors(model), metadata_of(model))


class CLIPSave(Node):
    """Save a text encoder alone to a file."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _schema("CLIPSave", [io.Clip.Input("clip")], "clip/ComfyUI")

    @classmethod
    def execute(cls, clip: TextEncoder, filename_prefix: str) -> NodeOutput:
        return _saved(cls, filename_prefix, text_tensors(require_text_encoder(clip), in_checkpoint=False), {})


class VAESave(Node):
    """Save a VAE alone to a file."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _schema("VAESave", [io.Vae.Input("vae")], "vae/ComfyUI_vae")

    @classmethod
    def execute(cls, vae: ImageAutoencoder, filename_prefix: str) -> NodeOutput:
        return _saved(cls, filename_prefix, autoencoder_tensors(require_autoencoder(vae), prefix=""), {})


def _schema(node_id: str, inputs: list[io.Input], prefix: str, *, display_name: str | None = None) -> Schema:
    return Schema(
        node_id=node_id,
        display_name=display_name,
        category="advanced/model_merging",
        inputs=[*inputs, io.String.Input("filename_prefix", default=prefix)],
        hidden=_HIDDEN,
        is_output_node=True,
    )


def _saved(node: Any, prefix: str, tensors: Tensors, metadata: dict[str, str]) -> NodeOutput:
    """Write the file, with the prompt and the workflow in its metadata, as in images."""
    hidden = node.hidden
    if hidden is not None and hidden.prompt is not None:
        metadata = {**metadata, "prompt": json.dumps(hidden.prompt)}
    if hidden is not None and hidden.extra_pnginfo:
        metadata |= {name: json.dumps(value) for name, value in hidden.extra_pnginfo.items()}
    write(current().open_series(prefix).file(0, ".safetensors").path, tensors, metadata)
    return NodeOutput()
