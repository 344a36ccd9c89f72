"""Comparison with the numbers of ComfyUI 0.8.0 (torch 2.13 on a CPU, float32): prompts, network, sampling, autoencoder.

``python -m benchmarks.sd15 [--checkpoint FILE]`` writes a checkpoint of 2.1 GB with random weights unless the option
names one from an earlier run. Takes some minutes, and exits with an error if a line exceeds its tolerance.
"""

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("ATEN_CPU_CAPABILITY", "avx2")  # other instruction sets round random numbers differently

import torch
from benchmarks.sd15.checkpoint import SHA256, write

from safelight.models.checkpoint import load_checkpoint
from safelight.models.sampling.guidance import CfgGuider
from safelight.models.sampling.sample import ChosenSampler, sample
from safelight.models.sampling.samplers.table import SAMPLERS
from safelight.models.sampling.schedules import SCHEDULES, schedule
from safelight.models.unet.unet_module import UNetInputs

POSITIVE = "a photograph of an astronaut riding a horse, (highly detailed:1.2)"
NEGATIVE = "blurry, text"

NUMBERS: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("numbers.json").read_text("utf-8"))
"""For each tensor its shape and up to 96 evenly spaced values."""

Line = tuple[str, float, float]
"""Description, relative L2 distance, tolerance."""


def distance(name: str, tensor: torch.Tensor) -> float:
    known = NUMBERS[name]
    assert list(tensor.shape) == known["shape"], f"{name}: {list(tensor.shape)} is not {known['shape']}"
    values = torch.tensor(known["values"], dtype=torch.float64)
    flat = tensor.double().flatten()
    places = (torch.arange(len(values)) * (len(flat) - 1) / max(len(values) - 1, 1)).round().long()
    return float((flat[places] - values).norm() / values.norm())


def whole(name: str) -> torch.Tensor:
    return torch.tensor(NUMBERS[name]["values"]).reshape(NUMBERS[name]["shape"])


def lines(path: Path) -> Iterator[Line]:
    loaded = load_checkpoint(path)
    text, autoencoder = loaded.text, loaded.autoencoder
    assert text is not None
    assert autoencoder is not None
    positive, negative = (text.encode_from_tokens_scheduled(text.tokenize(words)) for words in (POSITIVE, NEGATIVE))
    for name, [[condition, options]] in (("pos", positive), ("neg", negative)):
        yield f"conditioning, {name}", distance(f"cond_{name}", condition), 1e-5
        yield f"pooled output, {name}", distance(f"pooled_{name}", options["pooled_output"]), 1e-5
    levels = loaded.model.parameterization.levels
    for name in SCHEDULES:
        for steps in (4, 20):
            made = schedule(levels, name, steps)
            yield f"sigmas, {name}, {steps} steps", float((made - whole(f"sigmas_{name}_{steps}")).abs().max()), 2e-6
    noise = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(42))
    yield "noise of seed 42", distance("noise_seed42", noise), 1e-8
    with loaded.model.network.session() as predict, torch.inference_mode():
        predicted = predict(noise, torch.tensor([500.0]), UNetInputs(positive[0][0]))
        yield "network, t = 500", distance("unet_t500_out_pos", predicted), 1e-5
    made_latents = sample(
        CfgGuider(loaded.model, positive, negative, 7.0),
        ChosenSampler(SAMPLERS["euler"]),
        schedule(levels, "normal", 4),
        latent=torch.zeros_like(noise),
        noise=noise,
        seed=42,
        on_step=lambda step, steps, denoised: None,
    ).samples
    yield "latent, euler, normal, 4 steps", distance("latent_euler_normal", made_latents), 1e-4
    picture = (autoencoder.decode(made_latents)[0] * 255).clamp(0, 255).to(torch.uint8).double()
    yield "its picture", distance("picture_euler_normal", picture), 1e-3
    decoded = autoencoder.decode(noise)
    yield "autoencoder, to a picture", distance("vae_decode_of_noise_seed42", decoded), 1e-5
    yield "autoencoder, to a latent", distance("vae_encode_of_that", autoencoder.encode(decoded)), 1e-5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, help="a checkpoint from an earlier run, or the file to keep it in")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = given.checkpoint or Path(folder) / "sd15_random.safetensors"
        if not path.exists():
            write(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        print("checkpoint:", "same as the measured one" if digest == SHA256 else f"rounded differently ({digest})")
        began = time.monotonic()
        failed = 0
        for what, off, limit in lines(path):
            failed += off > limit
            print(f"{what:<38} {off:10.2e}   {'ok' if off <= limit else f'more than {limit:.0e}'}", flush=True)
        print(f"{time.monotonic() - began:.0f} s")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
