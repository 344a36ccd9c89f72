"""Miniature weights of LTX-Video."""

from torch import nn

from safelight.models.autoencoder.ltx_blocks import Stride
from safelight.models.autoencoder.ltx_module import LtxAutoencoderShape, LtxPart, LtxVideoAutoencoder
from safelight.models.families.ltx.video_network import LtxVideo, VideoShape
from safelight.models.miniatures.file import Miniature, MiniatureFile
from safelight.models.miniatures.shapes import T5, WIDTH, Joined

VIDEO = VideoShape(channels=128, width=256, context=WIDTH, feed_forward=512, layers=2)
_ALL: Stride = (2, 2, 2)


def _residuals(channels: int) -> LtxPart:
    return LtxPart("residuals", channels, channels, layers=1)


AUTOENCODER = LtxAutoencoderShape(
    latent=128,
    encoded=129,
    patch=4,
    encoder=(
        _residuals(16),
        LtxPart("strided", 16, 16, stride=_ALL),
        LtxPart("widen", 16, 32),
        LtxPart("strided", 32, 32, stride=_ALL),
        LtxPart("strided", 32, 32, stride=_ALL),
        _residuals(32),
    ),
    decoder=(
        _residuals(32),
        LtxPart("unfolded", 32, 32, stride=_ALL, adds_input=False),
        LtxPart("widen", 32, 16),
        LtxPart("unfolded", 16, 16, stride=_ALL, adds_input=False),
        _residuals(16),
        LtxPart("unfolded", 16, 16, stride=_ALL, adds_input=False),
        _residuals(16),
    ),
    is_timed=False,
)


def _checkpoint() -> nn.Module:
    return Joined(model__diffusion_model=LtxVideo(VIDEO), vae=LtxVideoAutoencoder(AUTOENCODER))


MINIATURES = (
    Miniature(
        "ltx-video",
        (
            *(
                MiniatureFile("checkpoints", f"ltx-video-2b-{version}.safetensors", _checkpoint)
                for version in ("v0.9", "v0.9.1", "v0.9.5")
            ),
            *T5,
        ),
    ),
)
