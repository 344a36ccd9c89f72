"""Families are recognized by names and shapes alone."""

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.models.unets import REFINER, SD1, SD2, SDXL, file_of, shapes_of, unet_of

from safelight.models.families.registry import detect
from safelight.models.families.stable_diffusion.conditioning import Editing, Inpainting
from safelight.models.sampling.levels import FlowLevels
from safelight.models.sampling.prediction import Flow, Noise, Velocity
from safelight.models.unet.shape import UNetShape, unet_shape
from safelight.models.unet.unet_module import Heads, UNetArchitecture
from safelight.models.weights import UnknownWeights


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        (SD1, "sd1"),
        (SD2, "sd2"),
        (SDXL, "sdxl"),
        (REFINER, "sdxl_refiner"),
        (replace(SDXL, middle=SDXL.middle[::2]), "sdxl"),  # pruned, as SSD-1B is
    ],
    ids=["sd1", "sd2", "sdxl", "refiner", "pruned sdxl"],
)
def test_families(shape: UNetShape, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("safelight.models.families.stable_diffusion.family._predicts_velocity", lambda unet: False)
    shapes = shapes_of(shape)
    assert unet_shape(shapes) == shape
    family = detect(*file_of(shapes)).variant
    assert family.name == name
    assert isinstance(family.parameterization.prediction, Noise)


def test_networks_for_inpainting_and_editing() -> None:
    painted = detect(*file_of(shapes_of(unet_of(in_channels=9)))).variant
    assert isinstance(painted.conditioning, Inpainting)
    edited = detect(*file_of(shapes_of(unet_of(in_channels=8)))).variant
    assert isinstance(edited.conditioning, Editing)


def test_marks_of_velocity() -> None:
    shapes = shapes_of(SDXL)
    mark = {"v_pred": torch.Size([]), "ztsnr": torch.Size([])}
    family = detect(*file_of({**shapes, **mark})).variant
    assert isinstance(family.parameterization.prediction, Velocity)
    assert float(family.parameterization.sigma_max) > 1000  # pure noise, or nearly


SETTINGS: dict[str, Any] = {
    "flow_shift": 2.0,
    "latent_scale": 0.5,
    "latent_shift": 0.1,
    "rgb_factors": [[0.0, 0.1, 0.2]] * 4,
    "rgb_bias": [0.0, 0.0, 0.0],
    "head_width": 16,
    "groups": 4,
    "autoencoder_groups": 4,
}


def test_the_metadata_of_a_miniature_identifies_it() -> None:
    shape = unet_of(channels=32, multipliers=(1, 2), depths=(0, 1), context=48, vector=48)
    shapes = shapes_of(shape)
    family = detect(*file_of(shapes, metadata={"safelight.miniature": json.dumps(SETTINGS)})).variant
    assert (family.name, family.architecture, family.latent_format.scale) == (
        "miniature",
        UNetArchitecture(shape, Heads(width=16), groups=4),
        0.5,
    )
    assert isinstance(family.parameterization.prediction, Flow)
    assert family.parameterization.levels == FlowLevels(2.0)
    del SETTINGS["groups"]
    with pytest.raises(UnknownWeights, match="metadata without 'groups'"):
        detect(*file_of(shapes, metadata={"safelight.miniature": json.dumps(SETTINGS)}))


def test_unknown_families_are_reported() -> None:
    with pytest.raises(UnknownWeights, match=r"'some\.safetensors' contains a UNet with 48 conditioning"):
        detect(*file_of(shapes_of(unet_of(channels=32, context=48))))
    flux = {"double_blocks.0.img_attn.qkv.weight": torch.Size((9, 3))}
    with pytest.raises(UnknownWeights, match="contains no supported diffusion network"):
        detect(*file_of(flux))
