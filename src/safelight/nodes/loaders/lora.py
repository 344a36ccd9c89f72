"""Nodes that apply a LoRA to a model and its text encoder."""

from typing import Any

from safelight.models.diffusion_model import DiffusionModel
from safelight.models.lora.file import Lora, read_lora
from safelight.sdk import Node, NodeOutput, Schema, io
from safelight.sdk.context import current


class LoraLoader(Node):
    """Apply a LoRA to a model and its text encoder. Several in a row add up."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LoraLoader",
            display_name="Load LoRA",
            category="loaders",
            inputs=[
                io.Model.Input("model", tooltip="The model to apply the LoRA to."),
                io.Clip.Input("clip", tooltip="The text encoder to apply the LoRA to."),
                io.Combo.Input("lora_name", model_folder="loras", tooltip="The LoRA file."),
                io.Float.Input("strength_model", default=1.0, min=-100.0, max=100.0, step=0.01),
                io.Float.Input("strength_clip", default=1.0, min=-100.0, max=100.0, step=0.01),
            ],
            outputs=[io.Model.Output(), io.Clip.Output()],
            listed_combos=True,
        )

    @classmethod
    def execute(
        cls, model: DiffusionModel, clip: Any, lora_name: str, strength_model: float, strength_clip: float
    ) -> NodeOutput:
        if strength_model == 0 and strength_clip == 0:
            return NodeOutput(model, clip)
        lora = _read(lora_name)
        return NodeOutput(_on_model(model, lora, strength_model), _on_text(clip, lora, strength_clip))


class LoraLoaderModelOnly(Node):
    """Apply a LoRA to a model, but not to its text encoder."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LoraLoaderModelOnly",
            category="loaders",
            inputs=[
                io.Model.Input("model"),
                io.Combo.Input("lora_name", model_folder="loras"),
                io.Float.Input("strength_model", default=1.0, min=-100.0, max=100.0, step=0.01),
            ],
            outputs=[io.Model.Output()],
            listed_combos=True,
        )

    @classmethod
    def execute(cls, model: DiffusionModel, lora_name: str, strength_model: float) -> NodeOutput:
        return NodeOutput(_on_model(model, _read(lora_name), strength_model) if strength_model else model)


def _read(name: str) -> Lora:
    return read_lora(current().model_path("loras", name))


def _on_model(model: DiffusionModel, lora: Lora, strength: float) -> DiffusionModel:
    layer = lora.network_layer(model.network) if strength else None
    return model.with_layers(layer.with_strength(strength)) if layer else model


def _on_text(clip: Any, lora: Lora, strength: float) -> Any:
    layer = lora.text_layer(clip.shapes) if strength else None
    return clip.with_layers(layer.with_strength(strength)) if layer else clip
