"""Control networks against diffusers' on the same random weights, and their effect on sampling."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.models.sampling.networks import CPU, Plain, model_of, saying

from safelight.models.control.control_network import AppliedControl, ControlNetwork, fit_image, load_control_network
from safelight.models.network_hooks import Control
from safelight.models.sampling.guidance import CfgGuider, SamplingSetup
from safelight.models.unet.unet_module import Heads, UNetInputs
from safelight.models.weights import UnknownWeights
from safelight.nodes.conditioning.controlnet import ControlNetApply, ControlNetApplyAdvanced

SHAPE = torch.Size((1, 4, 8, 8))


@pytest.fixture(scope="module")
def theirs() -> Any:
    from diffusers import ControlNetModel

    torch.manual_seed(0)
    model = ControlNetModel(
        block_out_channels=(32, 64),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        layers_per_block=1,
        cross_attention_dim=24,
        attention_head_dim=4,
        norm_num_groups=32,
    )
    for parameter in model.parameters():  # some are initialized with zeros
        torch.nn.init.normal_(parameter, std=0.05)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def ours(theirs: Any, tmp_path_factory: pytest.TempPathFactory) -> ControlNetwork:
    path = tmp_path_factory.mktemp("control") / "control.safetensors"
    save_file(theirs.state_dict(), path)
    return replace(load_control_network(path), heads=Heads(count=4))


def test_equals_diffusers(ours: ControlNetwork, theirs: Any) -> None:
    x, context, picture = torch.randn(2, 4, 8, 8), torch.randn(2, 7, 24), torch.rand(2, 3, 64, 64)
    timestep = torch.tensor([801.0, 3.0])
    with torch.no_grad():
        made = ours.residuals(x, timestep, UNetInputs(context), image=picture)
        down, middle = theirs(x, timestep, context, picture, return_dict=False)
    assert len(made.skips) == len(down)
    for index, expected in enumerate(down):
        torch.testing.assert_close(made.skips[index], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(made.middle, middle, rtol=1e-4, atol=1e-5)


def test_the_original_layout_is_read_too(ours: ControlNetwork, tmp_path: Path) -> None:
    state = {f"control_model.{name}": value for name, value in ours.weights.read()}
    save_file(state, tmp_path / "original.safetensors")
    again = load_control_network(tmp_path / "original.safetensors")
    assert again.shape == ours.shape
    assert set(again.weights.sources) == set(ours.weights.sources)


def test_another_files_or_families_network_is_an_error(ours: ControlNetwork, tmp_path: Path) -> None:
    save_file({"a.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(UnknownWeights, match=r"'other\.safetensors' contains no supported ControlNet"):
        load_control_network(tmp_path / "other.safetensors")
    with pytest.raises(UnknownWeights, match="for models with 24 conditioning features; this model has 768"):
        ours.residuals(
            torch.zeros(1, 4, 8, 8),
            torch.zeros(1),
            UNetInputs(torch.zeros(1, 7, 768)),
            image=torch.zeros(1, 3, 64, 64),
        )


def controlled(ours: ControlNetwork, applied: AppliedControl, sigma: float) -> Control | None:
    levels = model_of().parameterization.levels
    x, context = torch.ones(SHAPE), torch.ones(1, 7, 24)
    return applied.residuals_at(torch.tensor(sigma), levels, x, torch.tensor([500.0]), UNetInputs(context))


def test_strength_and_the_part_of_the_way(ours: ControlNetwork) -> None:
    picture = torch.rand(1, 64, 64, 3)
    whole = controlled(ours, AppliedControl(ours, picture, 1.0), 5.0)
    half = controlled(ours, AppliedControl(ours, picture, 0.5, 0.0, 0.5), 5.0)
    assert whole is not None
    assert half is not None
    torch.testing.assert_close(half.skips[1], whole.skips[1] / 2)
    assert controlled(ours, AppliedControl(ours, picture, 0.5, 0.0, 0.5), 0.1) is None
    double = controlled(ours, AppliedControl(ours, picture, 1.0, previous=AppliedControl(ours, picture, 1.0)), 5.0)
    assert double is not None
    assert double.middle is not None
    torch.testing.assert_close(double.middle, 2 * whole.middle)  # type: ignore[operator]


def asked(positive: Any, negative: Any) -> tuple[list[tuple[int, ...]], int]:
    """The batches that the network is called with, and how many of them have control."""
    network = Plain()
    model = model_of(network)
    denoise = CfgGuider(model, positive, negative, 4.0).denoiser(network._predict, SamplingSetup(SHAPE, CPU))
    denoise(torch.zeros(SHAPE), torch.tensor(2.0))
    return network.asked, sum(control is not None for control in network.controls)


def test_both_sides_are_controlled_in_one_batch(ours: ControlNetwork) -> None:
    picture = torch.rand(1, 64, 64, 3)
    wide = [[torch.ones(1, 7, 24), {}]]
    positive, negative = ControlNetApplyAdvanced.execute(wide, wide, ours, picture, 1.0, 0.0, 1.0).values
    assert asked(positive, negative) == ([(2, 4, 8, 8)], 1)
    (old,) = ControlNetApply.execute(wide, ours, picture, 1.0).values
    assert asked(old, wide) == ([(2, 4, 8, 8)], 1)
    assert ControlNetApplyAdvanced.execute(wide, wide, ours, picture, 0.0, 0.0, 1.0).values == (wide, wide)
    assert asked(saying(1.0), saying(2.0))[1] == 0


def test_images_are_cropped_to_the_aspect_ratio() -> None:
    planes = torch.arange(24.0).reshape(1, 1, 4, 6)
    assert torch.equal(fit_image(planes, (4, 4)), planes[..., 1:5])
    assert fit_image(planes, (8, 12)).shape == (1, 1, 8, 12)
    assert torch.equal(fit_image(planes, (2, 6)), planes[..., 1:3, :])
