"""Generate pictures of held-out scenes, read the pictures, and count what is right.

``python -m training.examine MODEL.safetensors --count 200 --sheet out/scenes.png``
"""

import argparse
import random
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from safelight.models.checkpoint import Checkpoint, load_checkpoint
from safelight.models.sampling.guidance import CfgGuider
from safelight.models.sampling.sample import ChosenSampler, sample
from safelight.models.sampling.samplers.table import SAMPLERS
from safelight.models.sampling.schedules import schedule
from training.captions import caption
from training.scenes import Scene, random_scene
from training.score import Score, read

BATCH = 8


def pictures(model: Checkpoint, words: list[str], *, steps: int, scale: float, seed: int) -> np.ndarray:
    """``[n, 128, 128, 3]`` uint8."""
    assert model.text is not None
    assert model.autoencoder is not None
    encoded = [model.text.encode(model.text.tokenize(text)) for text in words]
    positive = [[torch.cat([c for c, _ in encoded]), {"pooled_output": torch.cat([p for _, p in encoded])}]]
    nothing, pooled = model.text.encode(model.text.tokenize(""))
    sigmas = schedule(model.model.parameterization.levels, "simple", steps)
    noise = torch.randn(len(words), 4, 16, 16, generator=torch.Generator().manual_seed(seed))
    made = sample(
        CfgGuider(model.model, positive, [[nothing, {"pooled_output": pooled}]], scale),
        ChosenSampler(SAMPLERS["euler"]),
        sigmas,
        latent=torch.zeros_like(noise),
        noise=noise,
        seed=seed,
        on_step=lambda step, total, denoised: None,
    )
    image = model.autoencoder.decode(made.samples)
    return (image.numpy() * 255).astype(np.uint8)


def judge(score: Score, scene: Scene, picture: np.ndarray) -> None:
    background, things = read(picture)
    if scene.second is None:
        score.scenes += 1
        score.background += background == scene.background
        if things:
            score.color += things[0].color == scene.first.color
            score.shape += things[0].shape == scene.first.shape
            score.place += things[0].place == scene.first.place
        return
    score.pairs += 1
    found = {thing.color: thing for thing in things}
    first, second = found.get(scene.first.color), found.get(scene.second.color)
    if first and second:
        score.pair_colors += 1
        score.relations += (first.place, second.place) == (scene.first.place, scene.second.place)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--cfg", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sheet", type=Path)
    given = parser.parse_args()
    model = load_checkpoint(given.model)
    rng = random.Random(given.seed)
    score, shown = Score(), []
    for start in range(0, given.count, BATCH):
        scenes = [random_scene(rng, held_out=True, pairs=0.2) for _ in range(BATCH)]
        words = [caption(scene, rng)[0] for scene in scenes]
        made = pictures(model, words, steps=given.steps, scale=given.cfg, seed=given.seed + start)
        for scene, picture in zip(scenes, made, strict=True):
            judge(score, scene, picture)
        shown.append(np.concatenate(list(made), axis=1))
        if start < 3 * BATCH:
            print("\n".join(words))
    print("\n".join(score.lines()))
    if given.sheet:
        given.sheet.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.concatenate(shown[:6], axis=0)).save(given.sheet)


if __name__ == "__main__":
    main()
