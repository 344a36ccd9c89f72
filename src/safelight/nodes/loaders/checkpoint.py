"""Nodes that load a checkpoint or one of its parts. Weights are read when they are first used."""

from pathlib import Path

import torch

from safelight.models.checkpoint import (
    TINY_AUTOENCODERS,
    load_autoencoder,
    load_checkpoint,
    load_diffusion_model,
    load_text_encoders,
    load_tiny_autoencoder,
)
from safelight.models.weights import Identity, identity_of
from safelight.sdk import Node, NodeOutput, Schema, io
from safelight.sdk.context import current

_ROUNDED = {
    "fp8_e4m3fn": torch.float8_e4m3fn,
    "fp8_e4m3fn_fast": torch.float8_e4m3fn,
    "fp8_e5m2": torch.float8_e5m2,
}
_NETWORK_DTYPES = ("default", *_ROUNDED)
_TEXT_KINDS = (
    "stable_diffusion",
    "stable_cascade",
    "sd3",
    "stable_audio",
    "mochi",
    "ltxv",
    "pixart",
    "cosmos",
    "lumina2",
    "wan",
    "hidream",
    "chroma",
    "ace",
    "omnigen2",
    "qwen_image",
    "hunyuan_image",
    "flux2",
    "ovis",
    "longcat_image",
    "cogvideox",
    "lens",
    "pixeldit",
    "ideogram4",
    "boogu",
    "krea2",
    "joyimage",
    "mage",
    "minimax",
    "yue2",
    "flux3",
    "moss_image",
    "fibo2",
)
_PAIR_KINDS = (
    "sdxl",
    "sd3",
    "flux",
    "hunyuan_video",
    "hidream",
    "hunyuan_image",
    "hunyuan_video_15",
    "kandinsky5",
    "kandinsky5_image",
    "ltxv",
    "newbie",
)


class CheckpointLoaderSimple(Node):
    """Load a model, its text encoder and its VAE from one checkpoint file."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="CheckpointLoaderSimple",
            display_name="Load Checkpoint",
            category="loaders",
            inputs=[
                io.Combo.Input("ckpt_name", model_folder="checkpoints", tooltip="The checkpoint file."),
            ],
            outputs=[
                io.Model.Output(tooltip="The diffusion model, which denoises latents."),
                io.Clip.Output(tooltip="The text encoder, which encodes prompts."),
                io.Vae.Output(tooltip="The VAE, which converts images to latents and back."),
            ],
            listed_combos=True,
            search_aliases=["load model", "checkpoint", "model loader"],
        )

    @classmethod
    def fingerprint_inputs(cls, ckpt_name: str) -> Identity:
        return identity_of(current().model_path("checkpoints", ckpt_name))

    @classmethod
    def execute(cls, ckpt_name: str) -> NodeOutput:
        path = current().model_path("checkpoints", ckpt_name)
        loaded = load_checkpoint(path)
        return NodeOutput(loaded.model, loaded.text, loaded.autoencoder)


class UNETLoader(Node):
    """Load a diffusion model alone, without text encoder and VAE. "weight_dtype" stores its weights in 8 bits, which
    needs less memory and is less exact."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="UNETLoader",
            display_name="Load Diffusion Model",
            category="advanced/loaders",
            inputs=[
                io.Combo.Input("unet_name", model_folder="diffusion_models"),
                io.Combo.Input("weight_dtype", _NETWORK_DTYPES),
            ],
            outputs=[io.Model.Output()],
            listed_combos=True,
        )

    @classmethod
    def fingerprint_inputs(cls, unet_name: str, weight_dtype: str) -> tuple[Identity, str]:
        return identity_of(current().model_path("diffusion_models", unet_name)), weight_dtype

    @classmethod
    def execute(cls, unet_name: str, weight_dtype: str) -> NodeOutput:
        path = current().model_path("diffusion_models", unet_name)
        return NodeOutput(load_diffusion_model(path, rounded=_ROUNDED.get(weight_dtype)))


class CLIPLoader(Node):
    """Load a text encoder alone, used as the model family of "type" uses it."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="CLIPLoader",
            display_name="Load CLIP",
            category="advanced/loaders",
            inputs=[
                io.Combo.Input("clip_name", model_folder="text_encoders"),
                io.Combo.Input("type", _TEXT_KINDS),
                io.Combo.Input("device", ("default", "cpu"), optional=True, advanced=True),
            ],
            outputs=[io.Clip.Output()],
            listed_combos=True,
        )

    @classmethod
    def fingerprint_inputs(cls, clip_name: str, type: str, device: str = "default") -> tuple[Identity, str]:
        return identity_of(current().model_path("text_encoders", clip_name)), type

    @classmethod
    def execute(cls, clip_name: str, type: str, device: str = "default") -> NodeOutput:
        return NodeOutput(load_text_encoders([current().model_path("text_encoders", clip_name)], type))


class DualCLIPLoader(Node):
    """Load two text encoders that work together, in any order: CLIP L and G for SDXL, CLIP L and T5 XXL for Flux."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="DualCLIPLoader",
            category="advanced/loaders",
            inputs=[
                io.Combo.Input("clip_name1", model_folder="text_encoders"),
                io.Combo.Input("clip_name2", model_folder="text_encoders"),
                io.Combo.Input("type", _PAIR_KINDS),
                io.Combo.Input("device", ("default", "cpu"), optional=True, advanced=True),
            ],
            outputs=[io.Clip.Output()],
            listed_combos=True,
        )

    @classmethod
    def fingerprint_inputs(
        cls, clip_name1: str, clip_name2: str, type: str, device: str = "default"
    ) -> tuple[Identity, Identity, str]:
        first, second = (current().model_path("text_encoders", name) for name in (clip_name1, clip_name2))
        return identity_of(first), identity_of(second), type

    @classmethod
    def execute(cls, clip_name1: str, clip_name2: str, type: str, device: str = "default") -> NodeOutput:
        names = (clip_name1, clip_name2)
        return NodeOutput(load_text_encoders([current().model_path("text_encoders", name) for name in names], type))


class TripleCLIPLoader(Node):
    """Load the three text encoders of Stable Diffusion 3: CLIP L, CLIP G and T5 XXL, in any order."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="TripleCLIPLoader",
            category="advanced/loaders",
            inputs=[io.Combo.Input(f"clip_name{n}", model_folder="text_encoders") for n in (1, 2, 3)],
            outputs=[io.Clip.Output()],
        )

    @classmethod
    def fingerprint_inputs(cls, **names: str) -> tuple[Identity, ...]:
        return tuple(identity_of(current().model_path("text_encoders", name)) for name in names.values())

    @classmethod
    def execute(cls, clip_name1: str, clip_name2: str, clip_name3: str) -> NodeOutput:
        names = (clip_name1, clip_name2, clip_name3)
        return NodeOutput(load_text_encoders([current().model_path("text_encoders", name) for name in names], "sd3"))


class QuadrupleCLIPLoader(Node):
    """Load the four text encoders of HiDream: CLIP L, CLIP G, T5 XXL and Llama 3.1, in any order."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="QuadrupleCLIPLoader",
            category="advanced/loaders",
            inputs=[io.Combo.Input(f"clip_name{n}", model_folder="text_encoders") for n in (1, 2, 3, 4)],
            outputs=[io.Clip.Output()],
        )

    @classmethod
    def fingerprint_inputs(cls, **names: str) -> tuple[Identity, ...]:
        return tuple(identity_of(current().model_path("text_encoders", name)) for name in names.values())

    @classmethod
    def execute(cls, clip_name1: str, clip_name2: str, clip_name3: str, clip_name4: str) -> NodeOutput:
        names = (clip_name1, clip_name2, clip_name3, clip_name4)
        paths = [current().model_path("text_encoders", name) for name in names]
        return NodeOutput(load_text_encoders(paths, "hidream"))


class VAELoader(Node):
    """Load a VAE alone, for checkpoints without one or to replace theirs. The tiny ones ("taesd" and so on) are fast
    and less exact."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="VAELoader",
            display_name="Load VAE",
            category="loaders",
            inputs=[io.Combo.Input("vae_name", model_folder="vae")],
            outputs=[io.Vae.Output()],
            listed_combos=True,
        )

    @classmethod
    def fingerprint_inputs(cls, vae_name: str) -> tuple[str | Identity, ...]:
        if vae_name in TINY_AUTOENCODERS:
            return (vae_name, *map(identity_of, _halves(vae_name)))
        return (identity_of(current().model_path("vae", vae_name)),)

    @classmethod
    def execute(cls, vae_name: str) -> NodeOutput:
        if vae_name in TINY_AUTOENCODERS:
            encoder, decoder = _halves(vae_name)
            return NodeOutput(load_tiny_autoencoder(vae_name, decoder=decoder, encoder=encoder))
        return NodeOutput(load_autoencoder(current().model_path("vae", vae_name)))


def _halves(name: str) -> tuple[Path, Path]:
    find = current().model_path
    return find("vae_approx", f"{name}_encoder.safetensors"), find("vae_approx", f"{name}_decoder.safetensors")
