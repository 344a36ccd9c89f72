"""Nodes that load the text encoder of LTX-2, and networks that enlarge latents."""

from safelight.models.families.ltx.text import load_ltx_text_encoder
from safelight.models.upscale.latent_upsampler import load_latent_upsampler
from safelight.models.weights import Identity, identity_of
from safelight.sdk import Node, NodeOutput, Schema, io
from safelight.sdk.context import current


class LTXAVTextEncoderLoader(Node):
    """Load the text encoder of LTX-2: Gemma 3 12B, and the connectors of a checkpoint."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LTXAVTextEncoderLoader",
            display_name="LTXV Audio Text Encoder Loader",
            category="advanced/loaders",
            inputs=[
                io.Combo.Input("text_encoder", model_folder="text_encoders"),
                io.Combo.Input("ckpt_name", model_folder="checkpoints"),
                io.Combo.Input("device", ("default", "cpu"), optional=True, advanced=True),
            ],
            outputs=[io.Clip.Output()],
        )

    @classmethod
    def fingerprint_inputs(
        cls, text_encoder: str, ckpt_name: str, device: str = "default"
    ) -> tuple[Identity, Identity]:
        return (
            identity_of(current().model_path("text_encoders", text_encoder)),
            identity_of(current().model_path("checkpoints", ckpt_name)),
        )

    @classmethod
    def execute(cls, text_encoder: str, ckpt_name: str, device: str = "default") -> NodeOutput:
        run = current()
        paths = run.model_path("text_encoders", text_encoder), run.model_path("checkpoints", ckpt_name)
        return NodeOutput(load_ltx_text_encoder(*paths))


class LatentUpscaleModelLoader(Node):
    """Load a network that enlarges latents."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LatentUpscaleModelLoader",
            display_name="Load Latent Upscale Model",
            category="loaders",
            inputs=[io.Combo.Input("model_name", model_folder="latent_upscale_models")],
            outputs=[io.Custom("LATENT_UPSCALE_MODEL").Output()],
        )

    @classmethod
    def fingerprint_inputs(cls, model_name: str) -> Identity:
        return identity_of(current().model_path("latent_upscale_models", model_name))

    @classmethod
    def execute(cls, model_name: str) -> NodeOutput:
        return NodeOutput(load_latent_upsampler(current().model_path("latent_upscale_models", model_name)))
