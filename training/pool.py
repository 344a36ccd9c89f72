"""Latents of many scenes, computed once: the training data of the UNet."""

import random
from dataclasses import dataclass
from pathlib import Path

import torch

from safelight.models.autoencoder.autoencoder_module import Autoencoder
from training.autoencoder import new_autoencoder
from training.scenes import Scene, drawn, random_scene


@dataclass(frozen=True, eq=False)
class Pool:
    """``latents [N, 4, 16, 16]``, normalised to mean 0 and deviation 1 by ``(latent - shift) * scale``."""

    latents: torch.Tensor
    scenes: list[Scene]
    shift: float
    scale: float


def load_autoencoder(path: Path) -> Autoencoder:
    model = new_autoencoder()
    model.load_state_dict(torch.load(path))
    return model.eval().to(memory_format=torch.channels_last)


@torch.inference_mode()
def make_pool(autoencoder: Path, *, count: int, seed: int, batch: int = 64) -> Pool:
    rng = random.Random(seed)
    model = load_autoencoder(autoencoder)
    scenes = [random_scene(rng, pairs=0.3) for _ in range(count)]
    latents = []
    for start in range(0, count, batch):
        stack = [torch.from_numpy(drawn(scene, rng, detail=3)) for scene in scenes[start : start + batch]]
        seen = torch.stack(stack).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.autocast("cpu", dtype=torch.bfloat16):
            latents.append(model.moments(seen.to(memory_format=torch.channels_last))[0].float())
        if start // batch % 50 == 0:
            print(f"pool {start} of {count}", flush=True)
    stacked = torch.cat(latents).contiguous()
    shift, scale = float(stacked.mean()), 1 / float(stacked.std())
    return Pool((stacked - shift) * scale, scenes, shift, scale)
