"""Embeddings and pictures as inputs of the network. Options: ``conditioning_byt5small`` (glyphs),
``concat_latent_image`` and ``concat_mask`` (the first frames), ``clip_vision_output`` and ``guidance``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from safelight.models.families.hunyuan_video.network import HunyuanVideoInputs, HunyuanVideoShape
from safelight.models.fitting import fit_planes
from safelight.models.inputs import WrongConditioning, repeated
from safelight.models.latent_format import LatentFormat

GUIDANCE = 6.0
"""If no node sets it."""


@dataclass(frozen=True)
class HunyuanVideoConditioning:
    """``model``: the network in messages."""

    model: str
    shape: HunyuanVideoShape
    latent_format: LatentFormat

    def prepare(
        self,
        context: torch.Tensor,
        options: Mapping[str, Any],
        *,
        shape: torch.Size,
        device: torch.device,
        is_negative: bool,
    ) -> HunyuanVideoInputs:
        self._check(context, self.shape.text, "embeddings", "Qwen2.5-VL 7B; load it with type 'hunyuan_video_15'")
        glyphs, vision = options.get("conditioning_byt5small"), options.get("clip_vision_output")
        picture = None if vision is None else vision.last_hidden_state
        self._check(glyphs, self.shape.glyphs, "glyphs", "byT5 small")
        self._check(picture, self.shape.picture, "a picture", "SigLIP (sigclip_vision_patch14_384)")
        return HunyuanVideoInputs(
            context,
            concat=self._concat(options, shape, device),
            glyphs=None if glyphs is None else glyphs.to(device, torch.float32),
            picture=None if picture is None else picture.to(device, torch.float32),
            guidance=torch.tensor([float(options.get("guidance", GUIDANCE))], device=device),
        )

    def _check(self, features: torch.Tensor | None, wanted: int, what: str, source: str) -> None:
        if features is not None and features.shape[-1] != wanted:
            raise WrongConditioning(
                f"{self.model} needs {what} with {wanted} features (of {source}), but the conditioning has "
                f"{features.shape[-1]}"
            )

    def _concat(self, options: Mapping[str, Any], shape: torch.Size, device: torch.device) -> torch.Tensor:
        """A picture, and a mask that is 1 where it is given."""
        latent = options.get("concat_latent_image")
        if latent is None:
            picture = torch.zeros(1, self.shape.channels - shape[1] - 1, *shape[2:], device=device)
        elif latent.dim() != 5 or latent.shape[1] != self.latent_format.channels or latent.shape[2] != shape[2]:
            raise WrongConditioning(
                f"the latent of the picture for {self.model} has the shape {list(latent.shape)}, but "
                f"{self.latent_format.channels} channels and {shape[2]} latent frames are needed; encode it with the "
                "VAE of this model, and give the nodes the same length"
            )
        else:
            picture = _fitted(self.latent_format.to_network(latent.to(device, torch.float32)), shape)
        mask = options.get("concat_mask", options.get("noise_mask"))
        given = torch.zeros(1, 1, *shape[2:], device=device)
        if mask is not None:
            given = _fitted(1.0 - mask.to(device, torch.float32), shape)
            given = functional.pad(given, (0, 0, 0, 0, 0, max(0, shape[2] - given.shape[2])))
        count = max(len(picture), len(given))
        return torch.cat((repeated(picture, count), repeated(given, count)), dim=1)


def _fitted(frames: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Each frame in the height and width of the latent."""
    planes = fit_planes(frames.transpose(1, 2).flatten(0, 1), (shape[-2], shape[-1]), mode="bilinear")
    return planes.reshape(len(frames), -1, *planes.shape[1:]).transpose(1, 2)
