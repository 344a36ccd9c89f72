"""Conditioning adapters: what the options of a conditioning entry mean to the UNets of latent diffusion.

Images that are concatenated to the latent (inpainting, editing) are the options ``concat_latent_image`` and
``concat_mask``. A pooled condition (``y``) is the pooled text output and numbers, each spread over 256 sinusoids
(Podell et al. 2023, section 2.2).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.nn import functional

from safelight.models.families.stable_diffusion.seen_images import UNCLIP, pooled_images
from safelight.models.inputs import repeated
from safelight.models.latent_format import LatentFormat
from safelight.models.unet.unet_module import UNetInputs, sinusoids

NUMBER_FEATURES = 256
SEED_OFFSET = 10
"""The noise of seen images is drawn from the run's seed minus this."""


@dataclass(frozen=True)
class TextOnly:
    """Stable Diffusion 1 and 2: nothing besides the token embeddings."""

    def prepare(
        self,
        context: torch.Tensor,
        options: Mapping[str, Any],
        *,
        shape: torch.Size,
        device: torch.device,
        is_negative: bool,
    ) -> UNetInputs:
        return UNetInputs(context)


@dataclass(frozen=True)
class TaskOfLotus:
    """Lotus (He et al. 2024): the task, which the published networks have as the angles 1 and 0."""

    def prepare(
        self,
        context: torch.Tensor,
        options: Mapping[str, Any],
        *,
        shape: torch.Size,
        device: torch.device,
        is_negative: bool,
    ) -> UNetInputs:
        task = torch.tensor([1.0, 0.0], device=device)
        return UNetInputs(context, y=torch.cat((task.sin(), task.cos()))[None])


@dataclass(frozen=True)
class PooledText:
    """The pooled text output, unchanged."""

    features: int

    def prepare(
        self,
        context: torch.Tensor,
        options: Mapping[str, Any],
        *,
        shape: torch.Size,
        device: torch.device,
        is_negative: bool,
    ) -> UNetInputs:
        return UNetInputs(context, y=_pooled(options, self.features, device))


@dataclass(frozen=True)
class PooledTextAndSizes:
    """SDXL: the pooled text output, the original image size, the crop position and the target size."""

    features: int = 1280

    def prepare(
        self,
        context: torch.Tensor,
        options: Mapping[str, Any],
        *,
        shape: torch.Size,
        device: torch.device,
        is_negative: bool,
    ) -> UNetInputs:
        height, width = _image_size(options, shape)
        numbers = (
            height,
            width,
            options.get("crop_h", 0),
            options.get("crop_w", 0),
            options.get("target_height", height),
            options.get("target_width", width),
        )
        return UNetInputs(context, y=_with_numbers(_pooled(options, self.features, device), numbers))


@dataclass(frozen=True)
class PooledTextSizeAndScore:
    """SDXL's refiner: the pooled text output, the image size, the crop position and the aesthetic score."""

    features: int = 1280
    score: float = 6.0
    negative_score: float = 2.5

    def prepare(
        self,
        context: torch.Tensor,
        options: Mapping[str, Any],
        *,
        shape: torch.Size,
        device: torch.device,
        is_negative: bool,
    ) -> UNetInputs:
        height, width = _image_size(options, shape)
        score = options.get("aesthetic_score", self.negative_score if is_negative else self.score)
        numbers = (height, width, options.get("crop_h", 0), options.get("crop_w", 0), score)
        return UNetInputs(context, y=_with_numbers(_pooled(options, self.features, device), numbers))


@dataclass(frozen=True)
class Inpainting:
    """Besides the inputs of ``base``: where to paint (1), and the image around it."""

    base: Any
    latent_format: LatentFormat
    blank: tuple[float, ...]
    """The latent of an empty image, as the network sees it."""

    def prepare(
        self,
        context: torch.Tensor,
        options: Mapping[str, Any],
        *,
        shape: torch.Size,
        device: torch.device,
        is_negative: bool,
    ) -> UNetInputs:
        inputs: UNetInputs = self.base.prepare(context, options, shape=shape, device=device, is_negative=is_negative)
        size = (shape[-2], shape[-1])
        mask = options.get("concat_mask", options.get("noise_mask"))
        latent = options.get("concat_latent_image")
        if latent is None:
            blank = torch.tensor(self.blank, device=device).reshape(1, -1, 1, 1)
            image = blank.expand(1, -1, *size)
        else:
            image = resize(self.latent_format.to_network(latent.to(device, torch.float32)), size)
        if mask is None:
            painted = torch.ones(1, 1, *size, device=device)
        else:
            mask = mask.to(device, torch.float32)
            painted = resize(mask.reshape(-1, 1, *mask.shape[-2:]), size).round()
        count = max(len(image), len(painted))
        return replace(inputs, concat=torch.cat((repeated(painted, count), repeated(image, count)), dim=1))


@dataclass(frozen=True)
class Editing:
    """InstructPix2Pix (Brooks et al. 2023): besides the inputs of ``base``, the image to edit, on the scale of
    latents."""

    base: Any

    def prepare(
        self,
        context: torch.Tensor,
        options: Mapping[str, Any],
        *,
        shape: torch.Size,
        device: torch.device,
        is_negative: bool,
    ) -> UNetInputs:
        inputs: UNetInputs = self.base.prepare(context, options, shape=shape, device=device, is_negative=is_negative)
        latent = options.get("concat_latent_image")
        if latent is None:
            image = torch.zeros(1, *shape[1:], device=device)
        else:
            image = resize(latent.to(device, torch.float32), (shape[-2], shape[-1]))
        return replace(inputs, concat=image)


def resize(planes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Resize ``[B, C, h, w]`` to ``size``."""
    if planes.shape[-2:] == size:
        return planes
    return functional.interpolate(planes, size=size, mode="bilinear")


def _pooled(options: Mapping[str, Any], features: int, device: torch.device) -> torch.Tensor:
    if images := options.get(UNCLIP):
        merge = options.get("unclip_noise_augment_merge", 0.0)
        return pooled_images(images, seed=options.get("seed", 0) - SEED_OFFSET, merge=merge)[:, :features].to(device)
    pooled = options.get("pooled_output")
    if pooled is None:
        return torch.zeros(1, features, device=device)
    moved: torch.Tensor = pooled.to(device, torch.float32)
    return moved


def _image_size(options: Mapping[str, Any], shape: torch.Size) -> tuple[int, int]:
    return options.get("height", shape[-2] * 8), options.get("width", shape[-1] * 8)


def _with_numbers(pooled: torch.Tensor, numbers: tuple[float, ...]) -> torch.Tensor:
    spread = sinusoids(torch.tensor(numbers, device=pooled.device), NUMBER_FEATURES).flatten()
    return torch.cat((pooled, spread.expand(len(pooled), -1)), dim=1)
