"""What the options of a conditioning entry mean to the UNets of latent diffusion.

Pictures that are concatenated to the latent (inpainting, editing) come as ``concat_latent_image`` and ``concat_mask``;
a pooled condition (``y``) is made of the pooled text and of numbers, each spread over 256 sinusoids (Podell et al.
2023, section 2.2).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from safelight.models.latent_format import LatentFormat
from safelight.models.unet.unet_module import sinusoids

NUMBER_FEATURES = 256


@dataclass(frozen=True)
class TextAlone:
    """Stable Diffusion 1 and 2: the tokens' embedding is all."""

    def __call__(
        self, options: Mapping[str, Any], *, shape: torch.Size, device: torch.device, is_negative: bool
    ) -> dict[str, torch.Tensor]:
        return {}


@dataclass(frozen=True)
class PooledText:
    """The pooled text as it is."""

    features: int

    def __call__(
        self, options: Mapping[str, Any], *, shape: torch.Size, device: torch.device, is_negative: bool
    ) -> dict[str, torch.Tensor]:
        return {"y": _pooled(options, self.features, device)}


@dataclass(frozen=True)
class PooledTextAndSizes:
    """SDXL: the pooled text, the size of the original picture, where it was cropped, and the size that is wanted."""

    features: int = 1280

    def __call__(
        self, options: Mapping[str, Any], *, shape: torch.Size, device: torch.device, is_negative: bool
    ) -> dict[str, torch.Tensor]:
        height, width = _picture_size(options, shape)
        numbers = (
            height,
            width,
            options.get("crop_h", 0),
            options.get("crop_w", 0),
            options.get("target_height", height),
            options.get("target_width", width),
        )
        return {"y": _with_numbers(_pooled(options, self.features, device), numbers)}


@dataclass(frozen=True)
class PooledTextSizeAndScore:
    """SDXL's refiner: the pooled text, the size, the crop, and how beautiful the picture is to be."""

    features: int = 1280
    score: float = 6.0
    negative_score: float = 2.5

    def __call__(
        self, options: Mapping[str, Any], *, shape: torch.Size, device: torch.device, is_negative: bool
    ) -> dict[str, torch.Tensor]:
        height, width = _picture_size(options, shape)
        score = options.get("aesthetic_score", self.negative_score if is_negative else self.score)
        numbers = (height, width, options.get("crop_h", 0), options.get("crop_w", 0), score)
        return {"y": _with_numbers(_pooled(options, self.features, device), numbers)}


@dataclass(frozen=True)
class Inpainting:
    """Beside what ``base`` says: where to paint (1), and the picture around that."""

    base: Any
    latent_format: LatentFormat
    blank: tuple[float, ...]
    """A latent of an empty picture, as the network sees it."""

    def __call__(
        self, options: Mapping[str, Any], *, shape: torch.Size, device: torch.device, is_negative: bool
    ) -> dict[str, torch.Tensor]:
        told = self.base(options, shape=shape, device=device, is_negative=is_negative)
        size = (shape[-2], shape[-1])
        mask = options.get("concat_mask", options.get("noise_mask"))
        latent = options.get("concat_latent_image")
        if latent is None:
            blank = torch.tensor(self.blank, device=device).reshape(1, -1, 1, 1)
            picture = blank.expand(1, -1, *size)
        else:
            picture = fitted(self.latent_format.to_network(latent.to(device, torch.float32)), size)
        if mask is None:
            painted = torch.ones(1, 1, *size, device=device)
        else:
            mask = mask.to(device, torch.float32)
            painted = fitted(mask.reshape(-1, 1, *mask.shape[-2:]), size).round()
        count = max(len(picture), len(painted))
        return {**told, "concat": torch.cat((_batch(painted, count), _batch(picture, count)), dim=1)}


@dataclass(frozen=True)
class Editing:
    """InstructPix2Pix (Brooks et al. 2023): beside what ``base`` says, the picture to edit, on the scale of latents."""

    base: Any

    def __call__(
        self, options: Mapping[str, Any], *, shape: torch.Size, device: torch.device, is_negative: bool
    ) -> dict[str, torch.Tensor]:
        told = self.base(options, shape=shape, device=device, is_negative=is_negative)
        latent = options.get("concat_latent_image")
        if latent is None:
            picture = torch.zeros(1, *shape[1:], device=device)
        else:
            picture = fitted(latent.to(device, torch.float32), (shape[-2], shape[-1]))
        return {**told, "concat": picture}


def fitted(planes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """``[B, C, h, w]`` in another size."""
    if planes.shape[-2:] == size:
        return planes
    return functional.interpolate(planes, size=size, mode="bilinear")


def _batch(planes: torch.Tensor, count: int) -> torch.Tensor:
    return planes if len(planes) == count else planes.repeat(-(-count // len(planes)), 1, 1, 1)[:count]


def _pooled(options: Mapping[str, Any], features: int, device: torch.device) -> torch.Tensor:
    pooled = options.get("pooled_output")
    if pooled is None:
        return torch.zeros(1, features, device=device)
    found: torch.Tensor = pooled.to(device, torch.float32)
    return found


def _picture_size(options: Mapping[str, Any], shape: torch.Size) -> tuple[int, int]:
    return options.get("height", shape[-2] * 8), options.get("width", shape[-1] * 8)


def _with_numbers(pooled: torch.Tensor, numbers: tuple[float, ...]) -> torch.Tensor:
    spread = sinusoids(torch.tensor(numbers, device=pooled.device), NUMBER_FEATURES).flatten()
    return torch.cat((pooled, spread.expand(len(pooled), -1)), dim=1)
