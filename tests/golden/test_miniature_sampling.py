"""Sampling with the bundled model, against recorded results. ``benchmarks/samplers.py`` checks all 396 pairs; here each
schedule is checked once, each with a different kind of sampler."""

import json

import pytest
import torch
from benchmarks.samplers import GOLDEN, STEPS, TOLERANCE, fingerprint, pairs, run

from safelight.models.sampling.samplers.table import SAMPLERS
from safelight.models.sampling.schedules import SCHEDULES

CHOSEN = list(zip(list(SAMPLERS)[::5], SCHEDULES, strict=True))


def test_every_pair_is_known() -> None:
    known = json.loads(GOLDEN.read_text("utf-8"))
    assert set(known) == {f"{sampler} {scheduler}" for sampler, scheduler in pairs()}
    assert len({tuple(values) for values in known.values()}) > 300  # some schedules of a flow model are the same


@pytest.mark.parametrize(("sampler", "scheduler"), CHOSEN)
def test_latents_equal_the_recorded_ones(sampler: str, scheduler: str) -> None:
    known = json.loads(GOLDEN.read_text("utf-8"))[f"{sampler} {scheduler}"]
    with torch.inference_mode():
        assert fingerprint(run(sampler, scheduler, STEPS)) == pytest.approx(known, abs=TOLERANCE)
