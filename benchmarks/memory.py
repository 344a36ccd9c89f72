"""The memory of a text-to-image job on a CPU, compared with the necessary minimum: weights and activations of its
steps.

``python -m benchmarks.memory [--checkpoint FILE]`` writes a checkpoint of Stable Diffusion 1.5's size (2.1 GB) unless
``--checkpoint`` names one. Memory is the process's memory without files (``RssAnon``), read every 5 ms. Activations are
the memory that a second job allocates in addition. Then it loads ten copies of the checkpoint in turn, with room for
one.
"""

import argparse
import os
import re
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from benchmarks.sd15.checkpoint import write

from safelight.models.checkpoint import Checkpoint, load_checkpoint
from safelight.models.residency import residency
from safelight.models.sampling.guidance import CfgGuider
from safelight.models.sampling.sample import ChosenSampler, sample
from safelight.models.sampling.samplers.table import SAMPLERS
from safelight.models.sampling.schedules import schedule

LIMIT = 1.15
MB = 1 << 20


def allocated() -> int:
    """Memory of this process that is not backed by a file, in bytes."""
    found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))
    assert found is not None
    return int(found[1]) * 1024


def peak_of(work: Callable[[], Any]) -> int:
    peak = allocated()
    is_over = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not is_over.wait(0.005):
            peak = max(peak, allocated())

    watcher = threading.Thread(target=watch)
    watcher.start()
    work()
    is_over.set()
    watcher.join()
    return peak


def draw(loaded: Checkpoint, *, steps: int = 2) -> torch.Tensor:
    """A picture of 256x256."""
    assert loaded.text is not None
    assert loaded.autoencoder is not None
    positive = loaded.text.encode_from_tokens_scheduled(loaded.text.tokenize("a horse"))
    noise = torch.randn(1, 4, 32, 32)
    latent = sample(
        CfgGuider(loaded.model, positive, positive, 7.0),
        ChosenSampler(SAMPLERS["euler"]),
        schedule(loaded.model.parameterization.levels, "normal", steps),
        latent=torch.zeros_like(noise),
        noise=noise,
        seed=1,
        on_step=lambda step, steps, denoised: None,
    ).samples
    return loaded.autoencoder.decode(latent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        path = given.checkpoint or Path(folder) / "sd15_random.safetensors"
        if not path.exists():
            write(path)
        loaded = load_checkpoint(path)
        before = allocated()
        first = peak_of(lambda: draw(loaded)) - before
        weights = residency().size()
        warm = allocated()
        activations = peak_of(lambda: draw(loaded)) - warm
        ratio = first / (weights + activations)
        print(f"weights {weights / MB:.0f} MB, activations {activations / MB:.0f} MB, first job {first / MB:.0f} MB")
        print(f"peak / (weights + activations)   {ratio:.3f}   {'ok' if ratio <= LIMIT else f'more than {LIMIT}'}")

        residency().free()
        residency().budget = 4 * MB * 1024
        seen = []
        for number in range(10):
            copy = Path(folder) / f"copy_{number}.safetensors"
            os.link(path, copy) if os.stat(path).st_dev == os.stat(folder).st_dev else os.symlink(path, copy)
            with load_checkpoint(copy).model.network.session():
                pass
            seen.append(allocated())
        print(f"ten checkpoints in turn          {', '.join(f'{one / MB:.0f}' for one in seen)} MB")


if __name__ == "__main__":
    main()
