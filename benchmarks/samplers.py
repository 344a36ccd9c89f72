"""Every sampler on every schedule with the bundled model, compared with recorded results.

``python -m benchmarks.samplers`` runs all 396 pairs, four steps each, and compares mean, deviation and one projection
of the latent with ``tests/golden/sampling/miniature.json`` (``--write`` replaces it). Then, as an independent check, it
compares deterministic samplers with many steps with the probability flow as scipy's Runge-Kutta method solves it. It
exits with an error if a pair deviates by more than rounding, or a sampler does not approach the flow.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import torch
from scipy.integrate import solve_ivp

from safelight.models.checkpoint import Checkpoint, load_checkpoint
from safelight.models.sampling.guidance import CfgGuider, SamplingSetup
from safelight.models.sampling.sample import ChosenSampler, sample
from safelight.models.sampling.samplers.table import SAMPLERS, SKIPS_LAST_LEVEL
from safelight.models.sampling.schedules import SCHEDULES, schedule
from safelight.settings import BUNDLED_MODELS

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "sampling" / "miniature.json"
PROMPT = "a large yellow star in the center on a blue background"
STEPS = 4
TOLERANCE = 2e-3
"""For a latent whose standard deviation is about 1. Rounding differs between processors; steps and guidance amplify
it."""
FLOW_STEPS = 60
FLOW = {"euler": 0.02, "ddim": 0.02, "heun": 0.02, "dpm_2": 0.02, "lms": 0.02, "dpmpp_2m": 0.02, "ipndm": 0.02}
FLOW |= {"deis": 0.02, "res_multistep": 0.02, "uni_pc": 0.02, "uni_pc_bh2": 0.02, "dpm_fast": 0.04}
"""Largest relative L2 distance from the flow after ``FLOW_STEPS`` steps."""


@cache
def bundled() -> Checkpoint:
    return load_checkpoint(BUNDLED_MODELS / "checkpoints" / "safelight-miniature.safetensors")


def guider() -> CfgGuider:
    text = bundled().text
    assert text is not None
    sides = [text.encode_from_tokens_scheduled(text.tokenize(words)) for words in (PROMPT, "")]
    return CfgGuider(bundled().model, sides[0], sides[1], 2.0)


def noise() -> torch.Tensor:
    return torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))


def run(sampler: str, scheduler: str, steps: int) -> torch.Tensor:
    levels = bundled().model.parameterization.levels
    more = sampler in SKIPS_LAST_LEVEL
    sigmas = schedule(levels, scheduler, steps, skip_last_level=more, keep_surplus=True)
    latent = torch.zeros_like(noise())
    chosen = ChosenSampler(SAMPLERS[sampler])
    result = sample(guider(), chosen, sigmas, latent=latent, noise=noise(), seed=5, on_step=lambda *of_step: None)
    return result.samples


def fingerprint(latent: torch.Tensor) -> list[float]:
    """Return the mean, the standard deviation, and the projection on a fixed random direction."""
    direction = torch.randn(latent.shape, generator=torch.Generator().manual_seed(11))
    projection = float((latent * direction).mean())
    return [round(value, 6) for value in (float(latent.mean()), float(latent.std()), projection)]


def pairs() -> Iterator[tuple[str, str]]:
    return ((sampler, scheduler) for sampler in SAMPLERS for scheduler in SCHEDULES)


def exact_flow() -> torch.Tensor:
    """Solve from pure noise to no noise, along ``dx/dsigma = (x - denoised) / sigma``."""
    model = bundled().model
    sigmas = schedule(model.parameterization.levels, "simple", FLOW_STEPS)
    shape = noise().shape
    with model.network.session() as predict:
        denoise = guider().denoiser(predict, SamplingSetup(shape, torch.device("cpu"), None))

        def slope(sigma: float, x: np.ndarray) -> np.ndarray:
            now = torch.from_numpy(x).float().reshape(shape)
            change = (now - denoise(now, torch.tensor(sigma, dtype=torch.float32)).guided) / sigma
            return change.double().flatten().numpy()  # type: ignore[no-any-return]

        start = model.parameterization.noised(torch.zeros(shape), noise(), sigmas[0]).double().flatten().numpy()
        solved = solve_ivp(slope, (float(sigmas[0]), 1e-3), start, rtol=1e-4, atol=1e-4)
    return model.latent_format.from_network(torch.from_numpy(solved.y[:, -1]).float().reshape(shape))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    failed = 0
    with torch.inference_mode():
        made = {f"{sampler} {scheduler}": fingerprint(run(sampler, scheduler, STEPS)) for sampler, scheduler in pairs()}
        if given.write:
            lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(values)}" for name, values in made.items())
            GOLDEN.write_text(f"{{\n{lines}\n}}\n", "utf-8")
        known = json.loads(GOLDEN.read_text("utf-8"))
        for name, values in made.items():
            off = max(abs(one - other) for one, other in zip(values, known[name], strict=True))
            if off > TOLERANCE:
                failed += 1
                print(f"{name:<45} {off:10.2e}   more than {TOLERANCE:.0e}")
        print(f"{len(made)} pairs, {failed} of them differ")
        exact = exact_flow()
        for name, limit in FLOW.items():
            distance = float((run(name, "simple", FLOW_STEPS) - exact).norm() / exact.norm())
            failed += distance > limit
            verdict = "ok" if distance <= limit else "too far"
            print(f"{name:<20} {FLOW_STEPS} steps, distance to the flow {distance:.4f}   {verdict}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
