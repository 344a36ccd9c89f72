"""The cost of a diffusion network compared with diffusers on the same weights: loading, and a step of guided sampling.

``python -m benchmarks.network [--checkpoint FILE] [--rounds N]`` writes a checkpoint of Stable Diffusion 1.5's size
(2.1 GB) unless ``--checkpoint`` names one. Both run in turn, in one process. On a busy machine only CPU seconds are
comparable.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from benchmarks.sd15.checkpoint import write

from safelight.models.checkpoint import load_checkpoint
from safelight.models.diffusion_model import DiffusionModel
from safelight.models.residency import residency
from safelight.models.sampling.guidance import CfgGuider
from safelight.models.sampling.sample import ChosenSampler, sample
from safelight.models.sampling.samplers.table import SAMPLERS
from safelight.models.sampling.schedules import schedule
from safelight.models.unet.unet_module import UNetInputs
from safelight.models.weights import Weights

STEPS = 2


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Wall and CPU seconds."""
    wall, cpu = time.monotonic(), time.process_time()
    work()
    return time.monotonic() - wall, time.process_time() - cpu


def read_speed(path: Path) -> float:
    """Return the seconds that it takes to read the file from the page cache."""

    def read() -> None:
        with path.open("rb", buffering=0) as file:
            buffer = bytearray(1 << 24)
            while file.readinto(buffer):
                pass

    read()
    return timed(read)[0]


def theirs_of(model: DiffusionModel) -> Any:
    """diffusers' UNet with the same weights."""
    from diffusers import UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    config = {
        "block_out_channels": (320, 640, 1280, 1280),
        "layers_per_block": 2,
        "cross_attention_dim": 768,
        "attention_head_dim": 8,
    }
    with torch.device("meta"):
        unet = UNet2DConditionModel(**config)
    weights: Weights = model.network.weights  # type: ignore[attr-defined]
    state = {f"model.diffusion_model.{name}": value.float() for name, value in weights.read()}
    unet.load_state_dict(convert_ldm_unet_checkpoint(state, dict(unet.config)), assign=True)
    return unet.eval()


class Watch:
    """Adds up the duration of calls."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call
        self.seconds = 0.0

    def __call__(self, *values: Any, **named: Any) -> Any:
        began = time.monotonic()
        result = self._call(*values, **named)
        self.seconds += time.monotonic() - began
        return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--rounds", type=int, default=4)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        path = given.checkpoint or Path(folder) / "sd15_random.safetensors"
        if not path.exists():
            write(path)
        reading = read_speed(path)
        loaded = load_checkpoint(path)
        assert loaded.text is not None

        def load() -> None:
            with loaded.model.network.session():
                pass

        load()
        residency().free()
        loading, _ = timed(load)
        share = sum(shape.numel() for shape in loaded.model.network.shapes.values()) * 2 / path.stat().st_size
        print(f"reading the file     {reading:6.2f} s")
        print(f"loading the network  {loading:6.2f} s for {share:.0%} of it, to float32")

        x, context = torch.randn(2, 4, 32, 32), torch.randn(2, 77, 768)
        timestep = torch.tensor([500.0, 500.0])
        theirs = theirs_of(loaded.model)

        def our_step() -> None:
            with loaded.model.network.session() as predict:
                predict(x, timestep, UNetInputs(context))

        def their_step() -> None:
            theirs(x, timestep, encoder_hidden_states=context)

        our_step(), their_step()
        ours, others = [], []
        for _ in range(given.rounds):
            ours.append(timed(our_step)[1])
            others.append(timed(their_step)[1])
        one, other = statistics.median(ours), statistics.median(others)
        print(f"a guided step        {one:6.2f} CPU s; diffusers {other:.2f}; ratio {one / other:.3f}")

        positive = loaded.text.encode_from_tokens_scheduled(loaded.text.tokenize("a horse"))
        noise = torch.randn(1, 4, 8, 8)

        def job() -> None:
            sample(
                CfgGuider(loaded.model, positive, positive, 7.0),
                ChosenSampler(SAMPLERS["euler"]),
                schedule(loaded.model.parameterization.levels, "normal", STEPS),
                latent=torch.zeros_like(noise),
                noise=noise,
                seed=1,
                on_step=lambda step, steps, denoised: None,
            )

        with loaded.model.network.session() as module:
            watch = Watch(module.forward)  # type: ignore[attr-defined]
            module.forward = watch  # type: ignore[attr-defined]
        job()
        overheads = []
        for _ in range(given.rounds):
            watch.seconds = 0.0
            overheads.append(timed(job)[0] - watch.seconds)
        overhead = statistics.median(overheads)
        print(f"overhead             {overhead * 1000:6.0f} ms in a run of {STEPS} steps on a warm model")


if __name__ == "__main__":
    main()
