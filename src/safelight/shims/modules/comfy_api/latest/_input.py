"""The types of the values that nodes receive."""

from typing import Any

import torch

from safelight.nodes.video.clip import Clip as VideoInput

ImageInput = MaskInput = torch.Tensor
AudioInput = LatentInput = dict[str, Any]

Image = Mask = torch.Tensor
Audio = Latent = dict[str, Any]
Video = VideoInput

__all__ = [
    "Audio",
    "AudioInput",
    "Image",
    "ImageInput",
    "Latent",
    "LatentInput",
    "Mask",
    "MaskInput",
    "Video",
    "VideoInput",
]
