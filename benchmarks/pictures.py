"""Seconds per step of whole jobs over the API, compared with another server that has the same checkpoint.

``python -m benchmarks.pictures --checkpoint FILE [--peer URL] [--size 256] [--rounds N]`` starts a Safelight server
with that file; the peer (ComfyUI) must list a checkpoint with the same name. Both run the same jobs in turn: one with
few steps and one with many, with new seeds each time. The difference divided by the additional steps is the time of a
step; the rest of a job is the queue, the decoding and the file.
"""

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from benchmarks.client import Client
from benchmarks.own_server import own_server

FEW, MANY = 2, 6


def picture(checkpoint: str, *, size: int, steps: int, seed: int) -> Mapping[str, Any]:
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": checkpoint}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a photograph of a horse", "clip": ["1", 1]}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "watermark", "clip": ["1", 1]}},
        "4": {"class_type": "EmptyLatentImage", "inputs": {"width": size, "height": size, "batch_size": 1}},
        "5": {
            "class_type": "KSampler",
            "inputs": {
                "model": ["1", 0],
                "positive": ["2", 0],
                "negative": ["3", 0],
                "latent_image": ["4", 0],
                "seed": seed,
                "steps": steps,
                "cfg": 7.0,
                "sampler_name": "euler",
                "scheduler": "normal",
                "denoise": 1.0,
            },
        },
        "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
        "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "benchmark"}},
    }


async def seconds(client: Client, prompt: Mapping[str, Any]) -> float:
    began = time.perf_counter()
    await client.ended(await client.submit(prompt), timeout_s=1800)
    return time.perf_counter() - began


async def measure(
    urls: Mapping[str, str], checkpoint: str, *, size: int, rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """Return for each server and round the seconds of a job with few and one with many steps, without a first warm-up
    round."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in urls}
    async with AsyncExitStack() as stack:
        clients = {name: await stack.enter_async_context(Client.connect(url)) for name, url in urls.items()}
        for round_ in range(rounds + 1):
            for name, client in clients.items():
                jobs = [picture(checkpoint, size=size, steps=n, seed=2 * round_ + (n == MANY)) for n in (FEW, MANY)]
                few, many = [await seconds(client, job) for job in jobs]
                if round_:
                    times[name].append((few, many))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--peer")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()

    def prepare(data: Path) -> None:
        folder = data / "models" / "checkpoints"
        folder.mkdir(parents=True)
        os.symlink(given.checkpoint.resolve(), folder / given.checkpoint.name)

    with own_server(prepare=prepare) as server:
        urls = {"safelight": server.url, **({"peer": given.peer} if given.peer else {})}
        times = asyncio.run(measure(urls, given.checkpoint.name, size=given.size, rounds=given.rounds))
    steps = {}
    for name, jobs in times.items():
        steps[name] = statistics.median((many - few) / (MANY - FEW) for few, many in jobs)
        rest = statistics.median(few for few, _ in jobs) - FEW * steps[name]
        print(f"{name:10} {steps[name]:6.2f} s per step, {rest:5.2f} s for the rest, {given.size}x{given.size}")
    if given.peer:
        print(f"ratio      {steps['safelight'] / steps['peer']:6.3f}")


if __name__ == "__main__":
    main()
