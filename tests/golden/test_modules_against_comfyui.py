"""Autoencoders and other parts of models with small random weights, against ComfyUI's recorded outputs
(``benchmarks/against_comfyui/modules.py`` makes them)."""

import pytest
import torch
from benchmarks.against_comfyui.modules import CASES, LIMIT, distance, golden_file
from safetensors.torch import load_file


@pytest.mark.parametrize("name", CASES)
def test_outputs_are_comfyuis(name: str) -> None:
    expected = load_file(golden_file(name))
    with torch.inference_mode():
        made = CASES[name]()
    assert made.keys() == expected.keys()
    for key, value in expected.items():
        assert made[key].shape == value.shape
        assert distance(made[key], value) < LIMIT
