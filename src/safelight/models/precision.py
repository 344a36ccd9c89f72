"""The number types that networks compute in. On a CPU always float32: the others are slower or less exact there."""

import torch


def compute_dtype(device: torch.device, *, wanted: torch.dtype | None = None) -> torch.dtype:
    """The type for diffusion networks: ``wanted``, else half precision on a GPU. GPUs with bfloat16 use that type,
    whose range holds every network's activations."""
    if wanted is not None:
        return wanted
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
