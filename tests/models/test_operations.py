"""Packed weights compute what dense ones do, and can be replaced by them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from safelight.models.lora.changes import AdditivePatch, FullDifference
from safelight.models.operations import Conv2d, Linear, benefits_from_packing, supports_packing
from safelight.models.residency import Residency
from safelight.models.weight_layers import WeightLayer
from safelight.models.weights import weight_file

CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(not supports_packing(CPU, torch.float32), reason="weights are packed on x86-64 only")


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wide = Conv2d(96, 96, 3, stride=2, padding=1)
        self.point = Conv2d(96, 800, 1)
        self.out = Linear(800, 96, bias=False)
        self.small = Linear(96, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.small(self.out(self.point(self.wide(x)).movedim(1, -1)))
        return made


def dense(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    x = functional.conv2d(x, state["wide.weight"], state["wide.bias"], stride=2, padding=1)
    x = functional.conv2d(x, state["point.weight"], state["point.bias"])
    x = functional.linear(x.movedim(1, -1), state["out.weight"])
    return functional.linear(x, state["small.weight"], state["small.bias"])


@pytest.fixture
def state(tmp_path: Path) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    state = {name: value.detach().half() for name, value in Network().state_dict().items()}
    save_file(state, tmp_path / "a.safetensors")
    return {name: value.float() for name, value in state.items()}


@pytest.mark.parametrize("sides", [(16, 16), (7, 30), (1, 1)])
@pytest.mark.parametrize("batch", [1, 3])
@torch.inference_mode()
def test_values_are_those_of_dense_weights(
    state: dict[str, torch.Tensor], tmp_path: Path, batch: int, sides: tuple[int, int]
) -> None:
    weights = weight_file(tmp_path / "a.safetensors").weights()
    x = torch.randn(batch, 96, *sides)
    with Residency().use(weights, (), Network, device=CPU, dtype=torch.float32) as module:
        torch.testing.assert_close(module(x), dense(state, x), rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_layers_are_packed_over_what_is_packed(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    weights = weight_file(tmp_path / "a.safetensors").weights()
    change = torch.randn(96, 800)
    layer = WeightLayer("more", {"out.weight": AdditivePatch(FullDifference(change))}, 0.5)
    residency = Residency()
    x = torch.randn(2, 96, 8, 8)
    with (
        residency.use(weights, (), Network, device=CPU, dtype=torch.float32) as plain,
        residency.use(weights, (layer,), Network, device=CPU, dtype=torch.float32) as changed,
    ):
        torch.testing.assert_close(plain(x), dense(state, x), rtol=1e-5, atol=1e-5)
        wanted = dense(state | {"out.weight": state["out.weight"] + 0.5 * change}, x)
        torch.testing.assert_close(changed(x), wanted, rtol=1e-5, atol=1e-5)
        packed = {name for name, value in changed.state_dict().items() if value.is_mkldnn}
        assert packed == {"wide.weight", "out.weight"}
        assert torch.equal(plain.state_dict()["wide.weight"].to_dense(), state["wide.weight"])
    assert residency.size() == 4 * (sum(value.numel() for value in state.values()) + change.numel())


@torch.inference_mode()
def test_a_convolution_orders_its_weight_for_each_new_size_and_keeps_it_once(
    state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    """The order for one size can take another ten times as long; layers share what they do not change."""
    weights = weight_file(tmp_path / "a.safetensors").weights()
    layer = WeightLayer("more", {"out.weight": AdditivePatch(FullDifference(torch.randn(96, 800)))}, 0.5)
    residency = Residency()
    with (
        residency.use(weights, (), Network, device=CPU, dtype=torch.float32) as plain,
        residency.use(weights, (layer,), Network, device=CPU, dtype=torch.float32) as changed,
    ):
        assert plain.wide.reordered_for is None
        for sides in ((9, 7), (20, 20), (9, 7)):
            x = torch.randn(2, 96, *sides)
            torch.testing.assert_close(changed.wide(x), plain.wide(x))
            torch.testing.assert_close(plain(x), dense(state, x), rtol=1e-5, atol=1e-5)
            assert plain.wide.reordered_for == changed.wide.reordered_for == x.shape
        kept = [resident.tensors["wide.weight"] for resident in residency._resident.values()]
        assert kept[0] is kept[1]
        assert torch.equal(plain.state_dict()["wide.weight"].to_dense(), state["wide.weight"])


@torch.inference_mode()
def test_a_layer_is_rounded_to_the_files_type_where_asked(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    """Like ComfyUI's text encoders, which stay in half precision under a LoRA."""
    weights = weight_file(tmp_path / "a.safetensors").weights()
    change = torch.randn(96, 800) * 1e-3
    layer = WeightLayer("more", {"out.weight": AdditivePatch(FullDifference(change))}, 1.0)
    exact = state["out.weight"] + change
    for rounds, wanted in ((False, exact), (True, exact.half().float())):
        used = Residency().use(weights, (layer,), Network, device=CPU, dtype=torch.float32, rounds=rounds)
        with used as module:
            assert torch.equal(module.state_dict()["out.weight"].to_dense(), wanted)
    assert not torch.equal(exact, exact.half().float())


def test_which_networks_benefit_from_packing() -> None:
    assert {name for name, part in Network().named_modules() if benefits_from_packing(part)} == {"wide", "out"}
