"""Miniature weights of FLUX.3 Image klein."""

from dataclasses import replace

from safelight.models.families.flux2.miniature_files import KLEIN_VAE
from safelight.models.families.flux3.network import Flux3, Flux3Shape
from safelight.models.families.flux3.text import STATES
from safelight.models.language.miniature_files import qwen35_file
from safelight.models.miniatures.file import Miniature, MiniatureFile
from safelight.models.miniatures.shapes import WIDTH, qwen3_vl

NETWORK = Flux3Shape(
    channels=128,
    reference_channels=128,
    context=len(STATES) * WIDTH,
    width=256,
    inner=512,
    apart=1,
    joint=1,
    is_flow_map=False,
)


def _network(name: str, *, is_flow_map: bool) -> MiniatureFile:
    shape = replace(NETWORK, is_flow_map=is_flow_map)
    return MiniatureFile("diffusion_models", name, lambda: Flux3(shape), format="int8_convrot")


MINIATURES = (
    Miniature(
        "flux3-klein",
        (
            _network("flux3-image-klein-base-int8-convrot.safetensors", is_flow_map=False),
            _network("flux3-image-klein-int8-convrot.safetensors", is_flow_map=True),
            MiniatureFile(
                "text_encoders",
                "qwen3vl_4b_int8_convrot.safetensors",
                lambda: qwen3_vl(layers=max(STATES) + 1),
                format="int8_convrot",
            ),
            qwen35_file("qwen3.5_9b_flux3_prompt_upsampler_w4a8.safetensors", "w4a8"),
            KLEIN_VAE,
        ),
    ),
)
