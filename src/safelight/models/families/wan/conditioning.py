"""Embeddings, pictures and control videos as inputs of the network. Options: ``concat_latent_image``,
``concat_mask`` and ``concat_mask_index`` (pictures beside the latent), ``clip_vision_output``,
``reference_latents``, ``time_dim_concat``, ``vace_frames``, ``vace_mask`` and ``vace_strength``,
``camera_conditions``, and ``noise_mask``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from safelight.models.families.wan.network import WanInputs, WanShape
from safelight.models.fitting import fit_planes
from safelight.models.inputs import WrongConditioning, repeated
from safelight.models.latent_format import LatentFormat

MASKS = 4
"""Channels of a mask beside the latent: one for each frame of a latent frame."""
VACE_MASKS = 64
"""One for each of the 8 x 8 pixels of a latent pixel."""


@dataclass(frozen=True)
class WanConditioning:
    """``model``: the network in messages. ``always_masks``: whether there is a mask beside every picture.
    ``times_frames``: whether frames that are not to be painted have the timestep 0."""

    model: str
    shape: WanShape
    latent_format: LatentFormat
    always_masks: bool = False
    times_frames: bool = False

    def prepare(
        self,
        context: torch.Tensor,
        options: Mapping[str, Any],
        *,
        shape: torch.Size,
        device: torch.device,
        is_negative: bool,
    ) -> WanInputs:
        if context.shape[-1] != self.shape.text_width:
            raise WrongConditioning(
                f"{self.model} needs embeddings with {self.shape.text_width} features (of UMT5 XXL), but the "
                f"conditioning has {context.shape[-1]}; load its text encoder with type 'wan'"
            )
        vision = options.get("clip_vision_output")
        after = options.get("time_dim_concat")
        camera = options.get("camera_conditions")
        videos, strengths = self._videos(options, shape, device)
        return WanInputs(
            context,
            concat=self._concat(options, shape, device),
            picture=None if vision is None else self._picture(vision.penultimate_hidden_states, device),
            reference=self._reference(options, device),
            after=None if after is None else self._latent(after, device, "reference pictures"),
            unmasked=self._unmasked(options, device),
            videos=videos,
            strengths=strengths,
            camera=None if camera is None or not self.shape.camera else camera.to(device, torch.float32),
        )

    def _concat(self, options: Mapping[str, Any], shape: torch.Size, device: torch.device) -> torch.Tensor | None:
        extra = self.shape.channels - shape[1]
        if extra <= 0:
            return None
        latent = options.get("concat_latent_image")
        if latent is None:
            return torch.zeros(1, extra, *shape[2:], device=device)
        picture = _fitted(self._latent(latent, device, "the picture"), shape)
        if picture.shape[2] != shape[2]:
            raise WrongConditioning(
                f"the pictures for {self.model} are {picture.shape[2]} latent frames long, but the latent has "
                f"{shape[2]}; give both nodes the same length"
            )
        if extra == picture.shape[1] or (extra != picture.shape[1] + MASKS and not self.always_masks):
            return self._whole(picture, extra)
        picture = picture[:, : extra - MASKS]
        mask = _mask(options.get("concat_mask", options.get("noise_mask")), shape, device)
        count, at = max(len(picture), len(mask)), options.get("concat_mask_index", 0)
        picture, mask = repeated(picture, count), repeated(mask, count)
        return self._whole(torch.cat((picture[:, :at], mask, picture[:, at:]), dim=1), extra)

    def _whole(self, made: torch.Tensor, extra: int) -> torch.Tensor:
        if made.shape[1] != extra:
            raise WrongConditioning(
                f"{self.model} takes {extra} channels of pictures and masks beside the latent, but the conditioning "
                f"has {made.shape[1]}; use the node that belongs to this model"
            )
        return made

    def _latent(self, latent: torch.Tensor, device: torch.device, what: str) -> torch.Tensor:
        """``[B, n * C, frames, h, w]``, on the scale of the network."""
        channels = self.latent_format.channels
        if latent.dim() != 5 or latent.shape[1] % channels:
            raise WrongConditioning(
                f"the latent of {what} for {self.model} has the shape {list(latent.shape)}, but {channels} channels "
                "and frames are needed; encode it with the VAE of this model"
            )
        parts = torch.split(latent.to(device, torch.float32), channels, dim=1)
        return torch.cat([self.latent_format.to_network(part) for part in parts], dim=1)

    def _picture(self, features: torch.Tensor, device: torch.device) -> torch.Tensor:
        if self.shape.picture and features.shape[-1] != self.shape.picture:
            raise WrongConditioning(
                f"{self.model} needs an image encoder with {self.shape.picture} features (clip_vision_h), but this "
                f"one has {features.shape[-1]}"
            )
        return features.to(device, torch.float32)

    def _reference(self, options: Mapping[str, Any], device: torch.device) -> torch.Tensor | None:
        references = options.get("reference_latents")
        if not references or not self.shape.reference:
            return None
        return self._latent(references[-1], device, "the reference picture")[:, :, 0]

    def _unmasked(self, options: Mapping[str, Any], device: torch.device) -> torch.Tensor | None:
        mask = options.get("noise_mask")
        if mask is None or not self.times_frames:
            return None
        share: torch.Tensor = mask.to(device, torch.float32).mean(dim=(1, 3, 4))
        return share

    def _videos(
        self, options: Mapping[str, Any], shape: torch.Size, device: torch.device
    ) -> tuple[tuple[torch.Tensor, ...], tuple[float, ...]]:
        if not self.shape.vace_layers:
            return (), ()
        given = options.get("vace_frames")
        if given is None:
            given = [torch.zeros(1, self.shape.vace_channels - VACE_MASKS, *shape[2:])]
        videos = [self._latent(video, device, "the control video") for video in given]
        masks = options.get("vace_mask") or [torch.ones(1, VACE_MASKS, *shape[2:])] * len(videos)
        for video in videos:
            if video.shape[2:] != shape[2:]:
                raise WrongConditioning(
                    f"the control video for {self.model} is {list(video.shape[2:])} in latent frames and pixels, but "
                    f"the latent is {list(shape[2:])}; use the latent of the node that made the control video"
                )
        pairs = zip(videos, masks, strict=True)
        joined = [torch.cat((video, repeated(mask.to(video), len(video))), dim=1) for video, mask in pairs]
        return tuple(joined), tuple(options.get("vace_strength") or [1.0] * len(videos))


def _fitted(frames: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Each frame in the height and width of the latent."""
    size = (shape[-2], shape[-1])
    planes = fit_planes(frames.transpose(1, 2).flatten(0, 1), size, mode="bilinear")
    return planes.reshape(len(frames), -1, *planes.shape[1:]).transpose(1, 2)


def _mask(mask: torch.Tensor | None, shape: torch.Size, device: torch.device) -> torch.Tensor:
    """``[B, 4, frames, h, w]``: 1 where the picture is given, 0 where it is to be painted."""
    if mask is None:
        return torch.zeros(1, MASKS, *shape[2:], device=device)
    mask = mask.to(device, torch.float32)
    if mask.shape[1] != MASKS:
        mask = mask.mean(dim=1, keepdim=True)
    given = _fitted(1.0 - mask, shape)
    given = functional.pad(given, (0, 0, 0, 0, 0, max(0, shape[2] - given.shape[2])))
    return given.expand(-1, MASKS, -1, -1, -1)
