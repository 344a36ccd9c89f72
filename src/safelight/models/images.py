"""Pictures in the sizes that networks want."""

import torch
from torch.nn import functional


def resized(planes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """``[B, C, h, w]`` cut in the middle to the proportions of ``size``, then scaled to it by the nearest pixels."""
    height, width = planes.shape[-2:]
    wanted = size[1] / size[0]
    if width / height > wanted:
        cut = round((width - height * wanted) / 2)
        planes = planes[..., cut : width - cut]
    elif width / height < wanted:
        cut = round((height - width / wanted) / 2)
        planes = planes[..., cut : height - cut, :]
    return planes if planes.shape[-2:] == size else functional.interpolate(planes, size=size, mode="nearest-exact")
