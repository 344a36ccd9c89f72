"""Miniature weights of Depth Anything 3."""

from torch import nn

from safelight.models.depth.dino_module import Dino, DinoShape
from safelight.models.depth.dpt_module import Dpt, DptShape
from safelight.models.miniatures.file import Miniature, MiniatureFile

BACKBONE = DinoShape(width=128, inner=256, layers=4, grid=8)
HEAD = DptShape(width=128, channels=(16, 32, 32, 32), features=16, inner=8, has_sky=True)


def _mono() -> nn.Module:
    module = nn.Module()
    module.backbone, module.head = Dino(BACKBONE), Dpt(HEAD)
    return module


MINIATURES = (
    Miniature(
        "depth-anything-3",
        (MiniatureFile("geometry_estimation", "depth_anything_3_mono_large.safetensors", _mono, format="fp32"),),
    ),
)
