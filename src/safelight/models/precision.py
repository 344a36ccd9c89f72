"""In which number types networks compute. On a CPU all is float32: the others are slower or rounder there."""

import torch


def compute_dtype(device: torch.device, *, wanted: torch.dtype | None = None) -> torch.dtype:
    """Of diffusion networks: ``wanted``, else half precision where the device is made for it. On GPUs with bfloat16
    that type, whose range holds every network's activations."""
    if wanted is not None:
        return wanted
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
