"""ControlNets and model patches with small random weights, against ComfyUI's recorded latents
(``benchmarks/against_comfyui/controls.py`` makes them): one step, and four."""

from pathlib import Path

import pytest
import torch
from benchmarks.against_comfyui.control_cases import CASES
from benchmarks.against_comfyui.controls import LIMITS, distance, golden_file, run
from safetensors.torch import load_file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.mark.parametrize(
    ("name", "steps"), [(name, steps) for name, case in CASES.items() for steps in case.get("steps", LIMITS)]
)
def test_latents_are_comfyuis(name: str, steps: int, folder: Path) -> None:
    expected = load_file(golden_file(name))[f"{steps} steps"]
    with torch.inference_mode():
        made = run(name, steps, folder)
    assert made.shape == expected.shape
    assert distance(made, expected) < LIMITS[steps]
