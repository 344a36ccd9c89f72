"""Diffusers' module names, against diffusers' own converter."""

import pytest
import torch
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
from tests.models.lora.layouts import Shapes, sd1, sdxl

from safelight.models.unet.diffusers_names import diffusers_names


@pytest.mark.parametrize("shapes", [sd1(), sdxl()], ids=["SD1", "SDXL"])
def test_names_are_those_of_the_converter(shapes: Shapes) -> None:
    modules = list(dict.fromkeys(name.rpartition(".")[0] for name in shapes))
    numbered = {
        f"model.diffusion_model.{module}.{kind}": torch.tensor(index)
        for index, module in enumerate(modules)
        for kind in ("weight", "bias")
    }
    converted = convert_ldm_unet_checkpoint(numbered, {"layers_per_block": 2})
    theirs = {modules[int(number)]: name.rpartition(".")[0] for name, number in converted.items()}
    assert diffusers_names(modules) == theirs
