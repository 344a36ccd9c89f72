"""The values on ``CLIP_VISION`` and ``CLIP_VISION_OUTPUT`` links."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch.nn import functional

from safelight.models.precision import compute_dtype
from safelight.models.residency import compute_device, residency
from safelight.models.vision.vision_module import VisionShape, VisionTransformer, vision_shape
from safelight.models.weights import UnknownWeights, Weights, weight_file

HEADS = 16
"""The same in every published encoder."""

_CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_SIGLIP = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


class VisionOutput(SimpleNamespace):
    """Features under the names that nodes use: ``last_hidden_state`` and ``penultimate_hidden_states`` ``[B, tokens,
    width]``, ``all_hidden_states`` with the layers stacked in dimension 1, ``image_embeds`` ``[B, features]``, and
    ``image_sizes``."""

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self, name, value)


@dataclass(frozen=True)
class VisionEncoder:
    weights: Weights
    shape: VisionShape

    def encode_image(self, image: torch.Tensor, crop: bool = True) -> VisionOutput:
        """``[B, H, W, 3 or more]`` in 0..1; ``crop``: use the center square, instead of squeezing the image into a
        square."""
        device = compute_device()
        dtype = torch.float16 if compute_dtype(device) is not torch.float32 else torch.float32
        planes = self._normalised(image, crop=crop).to(device, dtype)
        with (
            residency().use(self.weights, (), self._build, device=device, dtype=dtype) as module,
            torch.inference_mode(),
        ):
            features = module(planes)
        layers = [layer.float().cpu() for layer in features.layers[1:]]
        return VisionOutput(
            last_hidden_state=features.last.float().cpu(),
            image_embeds=features.pooled.float().cpu(),
            penultimate_hidden_states=layers[-2] if len(layers) > 1 else layers[-1],
            all_hidden_states=torch.stack(layers, dim=1),
            image_sizes=[(self.shape.side, self.shape.side, 3)] * len(image),
            mm_projected=None,
        )

    def _normalised(self, image: torch.Tensor, *, crop: bool) -> torch.Tensor:
        side = self.shape.side
        planes = image[..., :3].movedim(-1, 1).float()
        if planes.shape[2:] != (side, side):
            height, width = planes.shape[2:]
            scale = side / min(height, width)
            size = (round(scale * height), round(scale * width)) if crop else (side, side)
            planes = functional.interpolate(planes, size=size, mode="bicubic", antialias=True)
            top, left = ((length - side) // 2 for length in planes.shape[2:])
            planes = planes[:, :, top : top + side, left : left + side]
        planes = (255 * planes).clamp(0, 255).round() / 255
        mean, deviation = (torch.tensor(v).reshape(3, 1, 1) for v in (_SIGLIP if self.shape.is_siglip else _CLIP))
        normalised: torch.Tensor = (planes - mean) / deviation
        return normalised

    def _build(self) -> VisionTransformer:
        return VisionTransformer(self.shape, heads=HEADS)


def load_vision_encoder(path: Path) -> VisionEncoder:
    """Load a vision encoder. Raises :class:`UnknownWeights`; :class:`UnreadableWeights`."""
    weights = weight_file(path).weights()
    try:
        return VisionEncoder(weights, vision_shape(weights.shapes))
    except KeyError as error:
        raise UnknownWeights(
            f"{path.name!r} contains no supported vision encoder (CLIP, SigLIP): {error} is missing"
        ) from None
