"""A checkpoint of Stable Diffusion 1.5's architecture with random weights, the same everywhere.

Each tensor has its own random generator, seeded by its name, so that it does not depend on the others.
"""

import hashlib
import math
from pathlib import Path

import torch
from safetensors.torch import save_file
from tests.models.unets import SD1
from torch import nn

from safelight.models.autoencoder.autoencoder_module import Autoencoder, AutoencoderShape
from safelight.models.text.encoder_module import ClipText, TextShape
from safelight.models.unet.unet_module import Heads, UNet

SEED = 1234
SHA256 = "2bc3321aa71f237cc4df3d138573acce65ec6b8bfa9744fa5e78bdf264c9216d"
"""Digest of the file on the machine where the reference numbers were recorded."""

_AUTOENCODER = AutoencoderShape(latent=4, channels=(128, 256, 512, 512), blocks=2, has_attention=True, has_quant=True)
_TEXT = TextShape(vocabulary=49408, length=77, width=768, inner=3072, layers=12, projection=0)

_GAIN = {"model.diffusion_model.out.2.weight": 1.5}


def shapes() -> dict[str, torch.Size]:
    with torch.device("meta"):
        parts: dict[str, nn.Module] = {
            "model.diffusion_model.": UNet(SD1, heads=Heads(count=8)),
            "first_stage_model.": Autoencoder(_AUTOENCODER),
            "cond_stage_model.transformer.": ClipText(_TEXT, heads=12, activation="quick_gelu"),
        }
    named = {
        f"{prefix}{name}": value.shape for prefix, part in parts.items() for name, value in part.state_dict().items()
    }
    return {**named, "cond_stage_model.transformer.text_model.embeddings.position_ids": torch.Size((1, 77))}


def drawn(name: str, shape: torch.Size) -> torch.Tensor:
    """Matrices and kernels with a standard deviation of one over the root of their number of inputs; norms about 1; the
    rest small."""
    if name.endswith("position_ids"):
        return torch.arange(shape[1]).reshape(shape)
    digest = hashlib.sha256(f"{SEED}:{name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    tensor = torch.randn(shape, generator=generator)
    if "token_embedding" in name:
        tensor *= 0.02
    elif "position_embedding" in name:
        tensor *= 0.01
    elif len(shape) > 1:
        tensor *= _GAIN.get(name, 1.0) / math.sqrt(math.prod(shape[1:]))
    elif name.endswith(".bias"):
        tensor *= 0.02
    else:
        tensor = 1 + 0.05 * tensor
    return tensor.to(torch.float16).contiguous()


def write(path: Path) -> None:
    tensors = {name: drawn(name, shape) for name, shape in sorted(shapes().items())}
    save_file(tensors, path, metadata={"format": "pt", "lab.generator": "make_sd15_random.py", "lab.seed": str(SEED)})
