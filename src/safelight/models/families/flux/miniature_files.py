"""Miniature weights of FLUX.1."""

from dataclasses import replace

from torch import nn

from safelight.models.families.flux.flux_module import Flux, FluxShape
from safelight.models.families.flux.model_patch import Projector, ProjectorShape
from safelight.models.miniatures.file import Miniature, MiniatureFile
from safelight.models.miniatures.shapes import AE, CLIP_L, T5, WIDTH, Joined, Lora, clip_l, image_autoencoder, t5
from safelight.models.transformer.streams import StreamShape
from safelight.models.vision.style import Redux, ReduxShape
from safelight.models.vision.vision_module import VisionShape, VisionTransformer

DEV = FluxShape(
    StreamShape(width=256, heads=2, inner=512),
    channels=16,
    out_channels=16,
    context=WIDTH,
    pooled=768,
    double_blocks=2,
    single_blocks=2,
    has_guidance=True,
)
SCHNELL = replace(DEV, has_guidance=False)
CANNY = replace(DEV, channels=32)
FILL = replace(DEV, channels=96)
SIGLIP = VisionShape(width=64, inner=128, layers=2, patch=14, patches=27, projection=0, is_siglip=True)


def _network(name: str, shape: FluxShape, format: str = "bf16") -> MiniatureFile:
    return MiniatureFile("diffusion_models", name, lambda: Flux(shape), format=format)


def _checkpoint(shape: FluxShape) -> nn.Module:
    return Joined(
        model__diffusion_model=Flux(shape),
        text_encoders__clip_l__transformer=clip_l(),
        text_encoders__t5xxl__transformer=t5(),
        vae=image_autoencoder(),
    )


_BESIDE = (CLIP_L, *T5, AE)
_REDUX = MiniatureFile("style_models", "flux1-redux-dev.safetensors", lambda: Redux(ReduxShape(64, 128, WIDTH)))
_VISION = MiniatureFile(
    "clip_vision", "sigclip_vision_patch14_384.safetensors", lambda: VisionTransformer(SIGLIP, heads=16)
)

_USO = (
    MiniatureFile(
        "model_patches",
        "uso-flux1-projector-v1.safetensors",
        lambda: Joined(feature_embedder=Projector(ProjectorShape(27**2, SIGLIP.width, 64, DEV.stream.width))),
    ),
    MiniatureFile("loras", "uso-flux1-dit-lora-v1.safetensors", lambda: Lora(Flux(DEV), below="double_blocks.")),
)

MINIATURES = (
    Miniature("flux-uso", (_network("flux1-dev.safetensors", DEV), *_USO, _VISION, *_BESIDE)),
    Miniature("flux-dev", (_network("flux1-dev.safetensors", DEV), *_BESIDE)),
    Miniature("flux-krea", (_network("flux1-krea-dev_fp8_scaled.safetensors", DEV, "fp8_scaled"), *_BESIDE)),
    Miniature("flux-kontext", (_network("flux1-dev-kontext_fp8_scaled.safetensors", DEV, "fp8_scaled"), *_BESIDE)),
    Miniature("flux-schnell", (_network("flux1-schnell.safetensors", SCHNELL), *_BESIDE)),
    Miniature("flux-canny", (_network("flux1-canny-dev.safetensors", CANNY), *_BESIDE)),
    Miniature(
        "flux-fill",
        (
            _network("flux1-fill-dev.safetensors", FILL),
            _network("flux.1-fill-dev-OneReward-transformer_fp8.safetensors", FILL, "fp8_e4m3fn"),
            MiniatureFile(
                "loras",
                "removal_timestep_alpha-2-1740.safetensors",
                lambda: Lora(Flux(FILL), below="single_blocks."),
            ),
            *_BESIDE,
        ),
    ),
    Miniature("flux-redux", (_network("flux1-dev.safetensors", DEV), _REDUX, _VISION, *_BESIDE)),
    Miniature(
        "flux-checkpoints",
        (
            MiniatureFile("checkpoints", "flux1-dev-fp8.safetensors", lambda: _checkpoint(DEV), format="fp8_e4m3fn"),
            MiniatureFile(
                "checkpoints", "flux1-schnell-fp8.safetensors", lambda: _checkpoint(SCHNELL), format="fp8_e4m3fn"
            ),
        ),
    ),
)
