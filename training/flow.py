"""Training of the UNet: it learns the straight path from noise to the latents of a caption's scene.

Rectified flow (Liu et al. 2022): for ``x = (1 - t) latent + t noise`` it predicts ``noise - latent``; half of the ``t``
are drawn uniformly, half from a logit-normal distribution (Esser et al. 2024). The saved weights are running means
(EMA).
"""

import copy
import math
import random
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from safelight.models.text.encoder_module import ClipText
from safelight.models.unet.shape import (
    Block,
    ConvolutionShape,
    DownShape,
    ResidualShape,
    TransformerShape,
    UNetShape,
    UpShape,
)
from safelight.models.unet.unet_module import Heads, UNet
from training.captions import NOTHING, caption
from training.pool import Pool
from training.scenes import Scene
from training.text import SHAPE as TEXT
from training.text import encoded, new_encoder

CHANNELS, WIDE = 48, 112
HEAD_WIDTH, GROUPS = 28, 8
TIMESTEPS = 1000.0
WITHOUT_CONDITION = 0.12


def unet_layout() -> UNetShape:
    """Latents of 16x16; attention on 8x8 and 4x4."""

    def residual(channels: int, out: int) -> ResidualShape:
        return ResidualShape(channels, out)

    attention = TransformerShape(WIDE, WIDE, 1, TEXT.width, True)
    inputs: tuple[Block, ...] = (
        (ConvolutionShape(4, CHANNELS),),
        (residual(CHANNELS, CHANNELS),),
        (DownShape(CHANNELS, CHANNELS),),
        (residual(CHANNELS, WIDE), attention),
        (DownShape(WIDE, WIDE),),
        (residual(WIDE, WIDE), attention),
    )
    outputs: tuple[Block, ...] = (
        (residual(2 * WIDE, WIDE), attention),
        (residual(2 * WIDE, WIDE), attention, UpShape(WIDE, WIDE)),
        (residual(2 * WIDE, WIDE), attention),
        (residual(WIDE + CHANNELS, WIDE), attention, UpShape(WIDE, WIDE)),
        (residual(WIDE + CHANNELS, CHANNELS),),
        (residual(2 * CHANNELS, CHANNELS),),
    )
    middle: Block = (residual(WIDE, WIDE), attention, residual(WIDE, WIDE))
    return UNetShape(CHANNELS, 4 * CHANNELS, 4, 4, TEXT.width, inputs, middle, outputs)


def new_unet() -> UNet:
    unet = UNet(unet_layout(), heads=Heads(width=HEAD_WIDTH), groups=GROUPS)
    for name, module in unet.named_modules():
        if name.endswith(("out_layers.3", "proj_out", "out.2")):
            nn.init.zeros_(module.weight)  # type: ignore[arg-type]
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]
    return unet


def load_text(path: Path) -> ClipText:
    encoder = new_encoder()
    encoder.load_state_dict(torch.load(path))
    return encoder.eval().requires_grad_(False)


@torch.no_grad()
def conditions(encoder: ClipText, scenes: list[Scene], rng: random.Random) -> tuple[torch.Tensor, torch.Tensor]:
    words = [rng.choice(NOTHING) if rng.random() < WITHOUT_CONDITION else caption(scene, rng)[0] for scene in scenes]
    return encoded(encoder, words)


def times(count: int) -> torch.Tensor:
    even, middle = torch.rand(count), torch.sigmoid(torch.randn(count))
    return torch.where(torch.rand(count) < 0.5, even, middle)


def train(
    pool: Pool,
    text: Path,
    out: Path,
    *,
    minutes: float,
    seed: int,
    batch: int = 64,
    rate: float = 1.5e-3,
    start: Path | None = None,
) -> None:
    """``start``: a network to continue with, possibly trained on other latents."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    encoder = load_text(text)
    unet = new_unet().to(memory_format=torch.channels_last)
    if start is not None:
        unet.load_state_dict(torch.load(start)["state"])
    kept = copy.deepcopy(unet).requires_grad_(False)
    decayed = [p for p in unet.parameters() if p.dim() > 1]
    others = [p for p in unet.parameters() if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))
    began = saved = time.monotonic()
    step, mean_loss = 0, 1.5
    while (passed := (time.monotonic() - began) / 60 / minutes) < 1:
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 150) * (0.02 + 0.98 * math.cos(math.pi / 2 * passed) ** 2)
        chosen = torch.randint(len(pool.scenes), (batch,))
        latents = pool.latents[chosen]
        context, pooled = conditions(encoder, [pool.scenes[index] for index in chosen.tolist()], rng)
        noise, t = torch.randn_like(latents), times(batch)
        noisy = torch.lerp(latents, noise, t[:, None, None, None]).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            predicted = unet(noisy, t * TIMESTEPS, context=context, y=pooled)
        loss = functional.mse_loss(predicted, noise - latents)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimiser.step()
        step += 1
        with torch.no_grad():
            keep = min(0.998, (1 + step) / (20 + step))
            for mine, new in zip(kept.parameters(), unet.parameters(), strict=True):
                mine.lerp_(new, 1 - keep)
        mean_loss = 0.98 * mean_loss + 0.02 * float(loss.detach())
        if step % 25 == 0:
            rate_now = step / (time.monotonic() - began)
            print(f"flow step {step} loss {mean_loss:.4f} ({rate_now:.2f}/s, {passed:.0%})", flush=True)
        if time.monotonic() - saved > 240:
            save(kept, pool, out, step)
            saved = time.monotonic()
    save(kept, pool, out, step)


def save(unet: UNet, pool: Pool, out: Path, step: int) -> None:
    part = out.with_suffix(".part")
    torch.save({"state": unet.state_dict(), "shift": pool.shift, "scale": pool.scale, "step": step}, part)
    part.replace(out)
