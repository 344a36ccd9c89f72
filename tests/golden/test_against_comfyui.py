"""Sampling against ComfyUI's recorded numbers (``benchmarks/against_comfyui`` runs all cases, and ComfyUI itself).
Here: all sampler nodes' options and all conditionings, and every fifth run of each other kind."""

import json

import pytest
import torch
from benchmarks.against_comfyui.samplers import ALL, DEVIATIONS, GOLDEN, run
from benchmarks.against_comfyui.sampling_cases import fingerprint

from safelight.models.sampling.samplers.table import SAMPLERS
from safelight.models.sampling.schedules import SCHEDULES

KNOWN = json.loads(GOLDEN.read_text("utf-8"))
ALWAYS = ("node", "conditioning")
OTHERS = [name for name in KNOWN if not name.startswith(ALWAYS)]
CHOSEN = [name for name in KNOWN if name.startswith(ALWAYS)] + OTHERS[::5]


def test_every_sampler_and_schedule_is_known() -> None:
    pairs = {
        f"pair {kind} {sampler} {scheduler}"
        for kind in ("eps", "flow")
        for sampler in SAMPLERS
        for scheduler in SCHEDULES
    }
    assert pairs <= KNOWN.keys()
    assert not DEVIATIONS.keys() & KNOWN.keys()


@pytest.mark.parametrize("name", CHOSEN)
def test_latents_are_comfyuis(name: str) -> None:
    mean, deviation, *projections = KNOWN[name]
    with torch.inference_mode():
        found = fingerprint(run(ALL[name]))
    assert found == pytest.approx([mean, deviation, *projections], abs=max(3e-4 * abs(deviation), 2e-5))


def test_the_seed_after_the_highest_is_the_first() -> None:
    """ComfyUI fails there, because ``seed + 1`` is out of its range."""
    for sampler in ("euler_ancestral", "ddim", "lcm"):
        assert run(ALL[f"highest seed {sampler}"]).isfinite().all()
