"""Upscalers: kinds recognized by their weights, and the result of each, computed by hand."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.nodes.context import FolderContext
from torch import nn
from torch.nn import functional

from safelight.models.upscale.upscaler import load_upscaler
from safelight.models.upscale.upscaler_module import (
    CompactNetwork,
    CompactShape,
    DenseNetwork,
    DenseShape,
    upscaler_shape,
)
from safelight.models.weights import UnknownWeights
from safelight.nodes.image.upscale_model import ImageUpscaleWithModel, UpscaleModelLoader

FOUR = DenseShape(channels=3, out=3, features=8, growth=4, blocks=2, ups=2, unshuffle=1)
TWO = DenseShape(channels=12, out=3, features=8, growth=4, blocks=1, ups=2, unshuffle=2)
COMPACT = CompactShape(channels=3, features=8, convolutions=2, scale=4)


def random(module: nn.Module) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {name: torch.randn(value.shape) * 0.2 for name, value in module.state_dict().items()}


@pytest.mark.parametrize("shape", [FOUR, TWO, COMPACT], ids=["four times", "twice", "compact"])
def test_the_shape_is_read_off_the_weights(shape: DenseShape | CompactShape) -> None:
    module = DenseNetwork(shape) if isinstance(shape, DenseShape) else CompactNetwork(shape)
    assert upscaler_shape({name: value.shape for name, value in module.state_dict().items()}) == shape


def test_compact_by_hand() -> None:
    module = CompactNetwork(COMPACT)
    state = random(module)
    module.load_state_dict(state)
    picture = torch.rand(1, 3, 5, 6)
    hidden = picture
    for number in range(0, 6, 2):
        hidden = functional.conv2d(hidden, state[f"body.{number}.weight"], state[f"body.{number}.bias"], padding=1)
        slope = state[f"body.{number + 1}.weight"].reshape(1, -1, 1, 1)
        hidden = torch.where(hidden > 0, hidden, slope * hidden)
    hidden = functional.conv2d(hidden, state["body.6.weight"], state["body.6.bias"], padding=1)
    made = module(picture)
    assert made.shape == (1, 3, 20, 24)
    for y, x in ((0, 0), (7, 9), (19, 23)):
        channel = 1
        of_cell = hidden[0, channel * 16 + (y % 4) * 4 + x % 4, y // 4, x // 4] + picture[0, channel, y // 4, x // 4]
        torch.testing.assert_close(made[0, channel, y, x], of_cell)


def test_dense_by_hand() -> None:
    """A block without convolutions adds a fifth of its features to them."""
    module = DenseNetwork(FOUR)
    state = random(module)
    state = {name: torch.zeros_like(value) if name.startswith("body.") else value for name, value in state.items()}
    module.load_state_dict(state)

    def convolved(name: str, planes: torch.Tensor) -> torch.Tensor:
        return functional.conv2d(planes, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)

    picture = torch.rand(1, 3, 4, 5)
    hidden = convolved("conv_first", picture)
    hidden = hidden + convolved("conv_body", 1.2**FOUR.blocks * hidden)
    for name in ("conv_up1", "conv_up2"):
        doubled = hidden.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        hidden = functional.leaky_relu(convolved(name, doubled), 0.2)
    expected = convolved("conv_last", functional.leaky_relu(convolved("conv_hr", hidden), 0.2))
    torch.testing.assert_close(module(picture), expected)


def test_odd_sides_of_networks_that_double() -> None:
    module = DenseNetwork(TWO)
    module.load_state_dict(random(module))
    assert module(torch.rand(1, 3, 5, 7)).shape == (1, 3, 10, 14)


def test_the_first_esrgan_files(tmp_path: Path) -> None:
    module = DenseNetwork(FOUR)
    state = random(module)
    old = {}
    places = {
        "conv_first": "model.0",
        "conv_body": "model.1.sub.2",
        "conv_up1": "model.3",
        "conv_up2": "model.6",
        "conv_hr": "model.8",
        "conv_last": "model.10",
    }
    for name, value in state.items():
        parts = name.split(".")
        if parts[0] == "body":
            _, block, dense, convolution, kind = parts
            old[f"model.1.sub.{block}.RDB{dense[3:]}.{convolution}.0.{kind}"] = value
        else:
            old[f"{places[parts[0]]}.{parts[1]}"] = value
    save_file(old, tmp_path / "old.safetensors")
    save_file({f"params_ema.{name}": value for name, value in state.items()}, tmp_path / "new.safetensors")
    image = torch.rand(1, 6, 7, 3)
    one, other = (load_upscaler(tmp_path / name).enlarge(image) for name in ("old.safetensors", "new.safetensors"))
    assert one.shape == (1, 24, 28, 3)
    assert torch.equal(one, other)


def test_tiles_equal_the_whole_except_at_seams(tmp_path: Path) -> None:
    module = CompactNetwork(CompactShape(3, 4, 0, 2))
    save_file(random(module), tmp_path / "small.safetensors")
    upscaler = load_upscaler(tmp_path / "small.safetensors")
    image = torch.rand(1, 40, 40, 3)
    whole, tiled = upscaler.enlarge(image), upscaler.enlarge(image, tile=24, overlap=8)
    torch.testing.assert_close(tiled[:, :28, :28], whole[:, :28, :28])
    assert float((tiled - whole).abs().mean()) < 0.02


def test_nodes(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "upscale_models"
    folder.mkdir(parents=True)
    save_file(random(CompactNetwork(COMPACT)), folder / "four.safetensors")
    save_file({"a.weight": torch.zeros(1)}, folder / "other.safetensors")
    with FolderContext(tmp_path).running() as running:
        (model,) = UpscaleModelLoader.execute("four.safetensors").values
        (image,) = ImageUpscaleWithModel.execute(model, torch.rand(2, 8, 8, 4)).values
        assert image.shape == (2, 32, 32, 3)
        assert 0 <= float(image.min()) <= float(image.max()) <= 1
        assert running.steps == [(1, 2), (2, 2)]
        with pytest.raises(UnknownWeights, match=r"'other\.safetensors' contains no supported upscaler"):
            UpscaleModelLoader.execute("other.safetensors")
