"""Schedules and noise: what the measured values do not cover."""

import json
from pathlib import Path

import pytest
import torch

from safelight.models.nested import NestedTensor
from safelight.nodes.sampling import tables
from safelight.nodes.sampling.flow_schedules import LTXVScheduler
from safelight.nodes.sampling.noise import NoNoise, SeededNoise
from safelight.nodes.sampling.sigmas import ManualSigmas, SplitSigmasDenoise
from safelight.nodes.sampling.tables import GITSScheduler


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("1, 0.5", [1.0, 0.5]), ("1e-3;-2E1", [0.001, -20.0]), ("[3. .25]", [3.0, 0.25]), ("none", [])],
)
def test_numbers_are_read_out_of_any_text(text: str, numbers: list[float]) -> None:
    (sigmas,) = ManualSigmas.execute(text).values
    assert torch.equal(sigmas, torch.tensor(numbers))


def test_every_row_of_the_gits_table_falls_from_the_first_level_to_the_last() -> None:
    written = json.loads(Path(tables.__file__).with_name("gits.json").read_text())
    last = len(written["levels"]) - 1
    assert written["levels"] == sorted(written["levels"], reverse=True)
    assert [float(key) for key in written["rows"]] == [round(0.8 + 0.05 * i, 2) for i in range(15)]
    for rows in written["rows"].values():
        assert [len(row) for row in rows] == list(range(3, 22))
        assert all(row[0] == 0 and row[-1] == last and row == sorted(set(row)) for row in rows)


def test_a_coefficient_between_two_rows_takes_the_nearer() -> None:
    between, exact = (GITSScheduler.execute(coeff, 10, 1.0).values[0] for coeff in (1.17, 1.15))
    assert torch.equal(between, exact)


def test_a_single_unshifted_step_starts_at_the_terminal() -> None:
    (sigmas,) = LTXVScheduler.execute(1, 0.0, 0.0, True, 0.2).values
    assert sigmas.tolist() == pytest.approx([0.2, 0.0])


def test_the_parts_of_a_split_schedule_meet() -> None:
    high, low = SplitSigmasDenoise.execute(torch.tensor([4.0, 3.0, 2.0, 1.0, 0.0]), 0.25).values
    assert high.tolist() == [4.0, 3.0, 2.0, 1.0]
    assert low.tolist() == [1.0, 0.0]


def test_video_and_audio_noise_come_from_one_generator() -> None:
    latent = {"samples": NestedTensor([torch.zeros(1, 2, 3), torch.zeros(1, 4)])}
    noise = SeededNoise(5).generate_noise(latent)
    assert isinstance(noise, NestedTensor)
    generator = torch.Generator().manual_seed(5)
    assert torch.equal(noise.tensors[0], torch.randn(1, 2, 3, generator=generator))
    assert torch.equal(noise.tensors[1], torch.randn(1, 4, generator=generator))
    silence = NoNoise().generate_noise(latent)
    assert isinstance(silence, NestedTensor)
    assert not any(tensor.any() for tensor in silence.tensors)


def test_noise_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    SeededNoise(2).generate_noise({"samples": torch.zeros(1, 4, 2, 2)})
    assert torch.equal(torch.rand(1), expected)
