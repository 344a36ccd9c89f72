"""Miniature weights of CLIP's image encoders."""

from dataclasses import replace

from safelight.models.miniatures.file import Miniature, MiniatureFile
from safelight.models.vision.vision_module import VisionShape, VisionTransformer

_H = VisionShape(width=1280, inner=128, layers=2, patch=14, patches=16, projection=1024, is_siglip=False)
_G = replace(_H, width=1664, projection=1280)


def _encoder(name: str, shape: VisionShape) -> MiniatureFile:
    return MiniatureFile("clip_vision", f"{name}.safetensors", lambda: VisionTransformer(shape, heads=16))


MINIATURES = (
    Miniature("clip-vision-h", (_encoder("clip_vision_h", _H),)),
    Miniature("clip-vision-g", (_encoder("clip_vision_g", _G),)),
)
