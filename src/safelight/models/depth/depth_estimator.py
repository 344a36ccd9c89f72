"""The value on ``DA3_MODEL`` links: Depth Anything 3 for single pictures (the models Mono and Metric)."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from safelight.models.depth.dino_module import PATCH, Dino, DinoShape, dino_shape
from safelight.models.depth.dpt_module import Dpt, DptShape, dpt_shape
from safelight.models.precision import compute_dtype
from safelight.models.residency import compute_device, residency
from safelight.models.weights import UnknownWeights, Weights, weight_file

BACKBONE, HEAD = "backbone.", "head."
CHOSEN = {24: (4, 11, 17, 23)}
"""The layers that the head sees, by the number of layers; others in equal parts."""

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pictures, by which encoders of this kind are normalised."""


@dataclass(frozen=True)
class DepthEstimator:
    """``dtype``: the type that it computes in; ``None`` is the device's best."""

    weights: Weights
    backbone: DinoShape
    head: DptShape
    dtype: torch.dtype | None = None

    def estimate(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """``depth`` and ``sky`` of ``[B, H, W, 3]`` in 0..1 with sides that are multiples of 14: ``[B, H, W]`` each,
        float32 on the CPU."""
        device = compute_device()
        dtype = compute_dtype(device, wanted=self.dtype)
        planes = image[..., :3].movedim(-1, 1).to(device, torch.float32)
        mean, deviation = (torch.tensor(values, device=device).reshape(1, 3, 1, 1) for values in (_MEAN, _DEVIATION))
        rows, columns = planes.shape[-2] // PATCH, planes.shape[-1] // PATCH
        chosen = CHOSEN.get(self.backbone.layers) or [self.backbone.layers * part // 4 - 1 for part in range(1, 5)]
        with (
            residency().use(self.weights, (), self._build, device=device, dtype=dtype) as module,
            torch.inference_mode(),
        ):
            states = module.backbone(((planes - mean) / deviation).to(dtype), chosen)
            made = module.head(states, rows, columns)
        return {name: value.float().cpu() for name, value in made.items()}

    def _build(self) -> nn.Module:
        module = nn.Module()
        module.backbone, module.head = Dino(self.backbone), Dpt(self.head)
        return module


def load_depth_estimator(path: Path, *, dtype: torch.dtype | None = None) -> DepthEstimator:
    """Raises :class:`UnknownWeights`; :class:`safelight.media.media_errors.UnreadableWeights`."""
    weights = weight_file(path).weights()
    if f"{HEAD}scratch.refinenet1_aux.out_conv.weight" in weights:
        raise UnknownWeights(
            f"{path.name!r} is a model for several views (Depth Anything 3 Small or Base), not one for single pictures"
        )
    try:
        backbone, head = dino_shape(weights.below(BACKBONE).shapes), dpt_shape(weights.below(HEAD).shapes)
    except KeyError as error:
        raise UnknownWeights(f"{path.name!r} is no Depth Anything 3 model: {error} is missing") from None
    return DepthEstimator(weights, backbone, head, dtype)
