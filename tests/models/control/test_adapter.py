"""T2I-Adapters against diffusers', in both layouts, and what they add to a UNet."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from safelight.models.control.control_network import AppliedControl, ControlAdapter, load_control_network
from safelight.models.sampling.levels import DiscreteLevels
from safelight.models.unet.unet_module import UNetInputs
from safelight.models.weights import UnknownWeights

KINDS = ["full_adapter", "full_adapter_xl"]


def theirs(kind: str, *, colors: int = 3) -> Any:
    from diffusers import T2IAdapter

    torch.manual_seed(0)
    factor = 16 if kind.endswith("xl") else 8
    return T2IAdapter(
        in_channels=colors, channels=[8, 16, 24, 24], num_res_blocks=2, downscale_factor=factor, adapter_type=kind
    ).eval()


def loaded(model: Any, path: Path) -> ControlAdapter:
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)
    network = load_control_network(path)
    assert isinstance(network, ControlAdapter)
    return network


def residuals(network: Any, picture: torch.Tensor) -> Any:
    one = torch.zeros(1)
    return network.residuals(torch.zeros(1, 4, 8, 8), one, UNetInputs(one), image=picture)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_equals_diffusers(kind: str, tmp_path: Path) -> None:
    model = theirs(kind)
    picture = torch.rand(1, 3, 64, 96)
    made = residuals(loaded(model, tmp_path / "a.safetensors"), picture)
    levels = [*made.inputs.values(), *([made.middle] if made.middle is not None else [])]
    assert list(made.inputs) == ([2, 5, 8, 11] if kind == "full_adapter" else [3, 5, 8])
    for one, other in zip(levels, model(picture), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_original_layout_and_gray_pictures(tmp_path: Path) -> None:
    model = theirs("full_adapter", colors=1)
    renamed = {}
    for name, value in model.state_dict().items():
        parts = name.removeprefix("adapter.").split(".")
        if parts[0] == "body":
            level = int(parts[1])
            inner = 2 * level + int(parts[3]) if parts[2] == "resnets" else 2 * level
            parts = ["body", str(inner), *(parts[4:] if parts[2] == "resnets" else parts[2:])]
        renamed[".".join(parts)] = value.contiguous()
    save_file(renamed, tmp_path / "a.safetensors")
    picture = torch.rand(1, 3, 64, 64)
    made = residuals(load_control_network(tmp_path / "a.safetensors"), picture)
    other = model(picture.mean(dim=1, keepdim=True))
    torch.testing.assert_close(made.inputs[11], other[3], rtol=1e-4, atol=1e-5)


def test_strength_and_several(tmp_path: Path) -> None:
    network = loaded(theirs("full_adapter"), tmp_path / "a.safetensors")
    picture = torch.rand(1, 64, 64, 3)
    applied = AppliedControl(network, picture, 0.5, end=0.5)
    levels = DiscreteLevels()

    def at(applied: AppliedControl, progress: float) -> Any:
        x, one = torch.zeros(1, 4, 8, 8), torch.zeros(1)
        sigma = torch.tensor(levels.sigma_at(progress))
        return applied.residuals_at(sigma, levels, x, one, UNetInputs(one))

    whole = residuals(network, picture.movedim(-1, 1))
    torch.testing.assert_close(at(applied, 0.1).inputs[5], 0.5 * whole.inputs[5])
    assert at(applied, 0.9) is None
    twice = at(applied.after(AppliedControl(network, picture, 1.0)), 0.1)
    torch.testing.assert_close(twice.inputs[5], 1.5 * whole.inputs[5])
    assert twice.middle is None


def test_an_incomplete_file_is_refused(tmp_path: Path) -> None:
    save_file(
        {"conv_in.weight": torch.zeros(8, 192, 3, 3), "body.0.block1.weight": torch.zeros(8, 8, 3, 3)},
        tmp_path / "a.safetensors",
    )
    with pytest.raises(UnknownWeights, match=r"'a\.safetensors' contains no supported T2I-Adapter"):
        load_control_network(tmp_path / "a.safetensors")
