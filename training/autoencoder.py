"""The autoencoder: pictures of 128x128 to latents of 16x16x4 and back."""

import random
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from safelight.models.autoencoder.autoencoder_module import Autoencoder, AutoencoderShape, Block
from training.scenes import drawn, random_scene

SHAPE = AutoencoderShape(latent=4, channels=(16, 32, 64, 64), blocks=1, has_attention=False, has_quant=True)
GROUPS = 4
THINGS = 8.0
"""Weight in the loss of a thing's pixel, relative to a background pixel."""
DIVERGENCE = 3e-5
"""Weight in the loss of the latents' divergence from a normal distribution."""


def new_autoencoder() -> Autoencoder:
    made = Autoencoder(SHAPE, groups=GROUPS)
    for module in made.modules():
        if isinstance(module, Block):
            nn.init.zeros_(module.conv2.weight)
    return made


def pictures(count: int, rng: random.Random, *, detail: int = 2) -> torch.Tensor:
    """``[count, 3, 128, 128]`` in -1..1."""
    stack = np.stack([drawn(random_scene(rng, pairs=0.4), rng, detail=detail) for _ in range(count)])
    return torch.from_numpy(stack).permute(0, 3, 1, 2).float() / 127.5 - 1


def weights(seen: torch.Tensor) -> torch.Tensor:
    """Weights of pixels in the loss, ``[B, 1, H, W]``: things cover a tenth of a picture but are its content."""
    is_thing = (seen - seen[:, :, :1, :1]).abs().amax(dim=1, keepdim=True) > 0.05
    return 1 + (THINGS - 1) * is_thing


def train(
    out: Path,
    *,
    minutes: float,
    seed: int,
    start: Path | None = None,
    rate: float = 2e-3,
    decoder_alone: bool = False,
) -> None:
    """``start``: an autoencoder to continue with. ``decoder_alone``: train only the decoder, so that the latents do not
    change for a network that has already learned them."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    model = new_autoencoder().to(memory_format=torch.channels_last)
    if start is not None:
        model.load_state_dict(torch.load(start))
    if decoder_alone:
        model.encoder.requires_grad_(False)
        model.quant_conv.requires_grad_(False)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=rate, betas=(0.9, 0.99), weight_decay=0.0)
    began, step, mean_error = time.monotonic(), 0, 0.1
    while (passed := (time.monotonic() - began) / 60 / minutes) < 1:
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 100) * (1 - passed) + 1e-5
        seen = pictures(12, rng).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mean, log_variance = model.moments(seen)
            mean, log_variance = mean.float(), log_variance.float().clamp(-12, 6)
            latent = mean + torch.randn_like(mean) * (log_variance / 2).exp()
            again = model.decode(latent).float()
        error, weight = again - seen, weights(seen)
        squared = (error**2).mean()
        divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean()
        loss = (weight * (error.abs() + error**2)).mean() + DIVERGENCE * divergence
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        mean_error = 0.97 * mean_error + 0.03 * float(squared.detach())
        step += 1
        if step % 50 == 0:
            psnr = 10 * np.log10(4 / mean_error)
            print(f"autoencoder step {step} psnr {psnr:.1f} divergence {float(divergence):.2f}", flush=True)
            torch.save(model.state_dict(), out)
    torch.save(model.state_dict(), out)
