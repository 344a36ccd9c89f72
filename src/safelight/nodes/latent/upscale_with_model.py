"""The node that enlarges latents of LTX models with a network."""

from typing import Any

from safelight.models.upscale.latent_upsampler import LatentUpsampler
from safelight.nodes.conditioning.ltxv_frames import require_ltx, video_samples
from safelight.nodes.latent.samples import Latent
from safelight.sdk import Node, NodeOutput, Schema, io


class LTXVLatentUpsampler(Node):
    """Enlarge a video latent with a network, usually to twice its width and height. Its mask is dropped."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LTXVLatentUpsampler",
            category="latent/video",
            inputs=[
                io.Latent.Input("samples"),
                io.Custom("LATENT_UPSCALE_MODEL").Input("upscale_model"),
                io.Vae.Input("vae"),
            ],
            outputs=[io.Latent.Output()],
            is_experimental=True,
        )

    @classmethod
    def execute(cls, samples: Latent, upscale_model: LatentUpsampler, vae: Any) -> NodeOutput:
        autoencoder, latent = require_ltx(vae), video_samples(samples)
        enlarged = autoencoder.normalized(upscale_model.enlarge(autoencoder.unnormalized(latent)))
        rest = {key: value for key, value in samples.items() if key != "noise_mask"}
        return NodeOutput({**rest, "samples": enlarged})
