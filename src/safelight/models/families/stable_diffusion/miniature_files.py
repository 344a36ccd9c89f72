"""Miniature weights of Stable Diffusion 1, 2 and XL. The widths of conditionings tell the kinds apart, so they are
whole."""

from torch import nn

from safelight.models.autoencoder.autoencoder_module import Autoencoder, AutoencoderShape
from safelight.models.families.stable_diffusion.family import LOTUS, SD1, SDXL, SDXL_REFINER, _Kind
from safelight.models.miniatures.file import Build, Miniature, MiniatureFile
from safelight.models.miniatures.shapes import Joined, clip_g, clip_l
from safelight.models.unet.shape import (
    Block,
    ConvolutionShape,
    DownShape,
    Part,
    ResidualShape,
    TransformerShape,
    UNetShape,
    UpShape,
)
from safelight.models.unet.unet_module import UNet

_CHANNELS = 64
_TIMES = (1, 2)
"""Channels of each level, in multiples of the first's."""


def _shape(context: int, vector: int = 0, *, is_linear: bool = True, channels: int = _CHANNELS) -> UNetShape:
    """Two levels with one transformer block in each column."""

    def column(before: int, out: int) -> tuple[Part, ...]:
        return ResidualShape(before, out), TransformerShape(out, out, 1, context, is_linear)

    first, second = (channels * times for times in _TIMES)
    inputs: tuple[Block, ...] = (
        (ConvolutionShape(4, first),),
        column(first, first),
        (DownShape(first, first),),
        column(first, second),
    )
    middle: Block = (ResidualShape(second, second), *column(second, second)[1:], ResidualShape(second, second))
    outputs: tuple[Block, ...] = (
        column(second + second, second),
        (*column(second + first, second), UpShape(second, second)),
        column(second + first, first),
        column(first + first, first),
    )
    return UNetShape(channels, 4 * channels, 4, 4, vector, inputs, middle, outputs)


def _network(kind: _Kind, shape: UNetShape) -> UNet:
    return UNet(shape, heads=kind.heads)


def autoencoder() -> nn.Module:
    """The autoencoder with 4 channels, which makes a latent pixel of 8 x 8 pixels."""
    return Autoencoder(AutoencoderShape(4, (32, 32, 64, 64), blocks=1, has_attention=True, has_quant=True))


def _sd1() -> nn.Module:
    return Joined(
        model__diffusion_model=_network(SD1, _shape(768, is_linear=False)),
        cond_stage_model__transformer=clip_l(),
        first_stage_model=autoencoder(),
    )


def _sdxl() -> nn.Module:
    return Joined(
        model__diffusion_model=_network(SDXL, _shape(2048, 2816)),
        conditioner__embedders__0__transformer=clip_l(),
        conditioner__embedders__1__model=clip_g(),
        first_stage_model=autoencoder(),
    )


def _refiner() -> nn.Module:
    return Joined(
        model__diffusion_model=_network(SDXL_REFINER, _shape(1280, 2560)),
        conditioner__embedders__0__model=clip_g(),
        first_stage_model=autoencoder(),
    )


def _lotus() -> nn.Module:
    return _network(LOTUS, _shape(1024, 4))


def _checkpoint(name: str, build: Build) -> MiniatureFile:
    return MiniatureFile("checkpoints", f"{name}.safetensors", build)


MINIATURES = (
    Miniature("sd1", (_checkpoint("v1-5-pruned-emaonly-fp16", _sd1),)),
    Miniature(
        "sdxl",
        (
            _checkpoint("sd_xl_base_1.0", _sdxl),
            _checkpoint("sd_xl_turbo_1.0_fp16", _sdxl),
            _checkpoint("sd_xl_refiner_1.0", _refiner),
        ),
    ),
    Miniature(
        "lotus-depth",
        (
            MiniatureFile("diffusion_models", "lotus-depth-d-v1-1.safetensors", _lotus),
            MiniatureFile("vae", "vae-ft-mse-840000-ema-pruned.safetensors", autoencoder),
        ),
    ),
)
