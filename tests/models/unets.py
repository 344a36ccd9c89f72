"""The shapes of the weights of UNets of every family, without numbers."""

from pathlib import Path

import torch

from safelight.models.families.stable_diffusion.conditioning import TextOnly
from safelight.models.lora.names import unet_names
from safelight.models.stored_network import StoredNetwork
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
from safelight.models.unet.unet_module import Heads, UNet, UNetArchitecture
from safelight.models.weights import Source, WeightFile, Weights


def unet_of(
    *,
    channels: int = 320,
    multipliers: tuple[int, ...] = (1, 2, 4, 4),
    depths: tuple[int, ...] = (1, 1, 1, 0),
    middle: int = 1,
    residuals: int = 2,
    context: int = 768,
    vector: int = 0,
    in_channels: int = 4,
    is_linear: bool = False,
) -> UNetShape:
    """``depths``: transformer blocks of each level."""

    def column(before: int, out: int, depth: int) -> list[Part]:
        transformer = [TransformerShape(out, out, depth, context, is_linear)] if depth else []
        return [ResidualShape(before, out), *transformer]

    inputs: list[Block] = [(ConvolutionShape(in_channels, channels),)]
    skipped, now = [channels], channels
    for level, (times, depth) in enumerate(zip(multipliers, depths, strict=True)):
        for _ in range(residuals):
            inputs.append(tuple(column(now, channels * times, depth)))
            now = channels * times
            skipped.append(now)
        if level < len(multipliers) - 1:
            inputs.append((DownShape(now, now),))
            skipped.append(now)
    outputs: list[Block] = []
    center: Block = (ResidualShape(now, now), *column(now, now, middle)[1:], ResidualShape(now, now))
    for level in range(len(multipliers) - 1, -1, -1):
        out = channels * multipliers[level]
        for index in range(residuals + 1):
            parts = column(now + skipped.pop(), out, depths[level])
            now = out
            if level and index == residuals:
                parts.append(UpShape(out, out))
            outputs.append(tuple(parts))
    return UNetShape(channels, 4 * channels, in_channels, 4, vector, tuple(inputs), center, tuple(outputs))


SD1 = unet_of()
SD2 = unet_of(context=1024, is_linear=True)
SDXL = unet_of(multipliers=(1, 2, 4), depths=(0, 2, 10), middle=10, context=2048, vector=2816, is_linear=True)
REFINER = unet_of(channels=384, depths=(0, 4, 4, 0), middle=4, context=1280, vector=2560, is_linear=True)


def shapes_of(shape: UNetShape) -> dict[str, torch.Size]:
    with torch.device("meta"):
        module = UNet(shape, heads=Heads(width=32))
    return {name: value.shape for name, value in module.state_dict().items()}


def file_of(
    shapes: dict[str, torch.Size], *, prefix: str = "model.diffusion_model.", metadata: dict[str, str] | None = None
) -> tuple[WeightFile, Weights]:
    """A file's header, without the file."""
    named = {name if "." not in name else f"{prefix}{name}": shape for name, shape in shapes.items()}
    file = WeightFile((str(Path("some.safetensors")), 0, 0), named, {}, metadata or {})
    return file, Weights({name: Source(file, f"{prefix}{name}") for name in shapes if "." in name})


def stored(weights: Weights, shape: UNetShape, heads: Heads) -> StoredNetwork:
    """A network without a pooled condition."""
    return StoredNetwork(weights, UNetArchitecture(shape, heads), TextOnly(), unet_names)
