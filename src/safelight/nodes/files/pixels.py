"""Convert images between tensors on links and arrays for files."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from safelight.media.image import ByteArray, DecodedImage, to_uint8
from safelight.models.autoencoder.film import Film

NO_MASK_SIDE = 64
"""Side of the all-zero mask of an image without alpha."""


def image_tensor(picture: DecodedImage) -> torch.Tensor:
    """``[B, H, W, 3]`` in 0..1."""
    return torch.from_numpy(picture.frames)


def mask_tensor(picture: DecodedImage) -> torch.Tensor:
    """``[B, H, W]``: 1 where the image is transparent; ``[1, 64, 64]`` of zeros if it has no alpha."""
    if picture.alpha is None:
        return torch.zeros((1, NO_MASK_SIDE, NO_MASK_SIDE))
    return torch.from_numpy(1.0 - picture.alpha)


Images = torch.Tensor | Film
"""``[B, H, W, C]`` in 0..1: in memory, or decoded when it is read."""


def byte_frames(images: Images, *, channels: int | None = None) -> Iterator[ByteArray]:
    """Each image in 8 bits, as it is saved, one at a time, with its first ``channels``."""
    for piece in images.pieces() if isinstance(images, Film) else [images]:
        for image in piece:
            yield to_uint8(float_array(image[..., :channels]))


def float_array(tensor: torch.Tensor) -> NDArray[np.float32]:
    return np.asarray(tensor.detach().to(device="cpu", dtype=torch.float32).numpy())
