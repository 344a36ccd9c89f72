"""Networks larger than the free memory of their device."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from safelight.models.lora.changes import AdditivePatch, FullDifference
from safelight.models.offload import choose_offloaded, load_for_each_call
from safelight.models.residency import Residency
from safelight.models.weight_layers import WeightLayer
from safelight.models.weights import Weights, weight_file

CPU = torch.device("cpu")


def build() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 32), nn.LayerNorm(32), nn.Linear(32, 8))


def bytes_of(module: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in module.state_dict().values())


def weights_in(path: Path) -> Weights:
    torch.manual_seed(0)
    save_file({name: value.clone() for name, value in build().state_dict().items()}, path)
    return weight_file(path).weights()


def test_weights_that_fit_stay_on_the_device() -> None:
    whole = bytes_of(build())
    assert choose_offloaded(build(), torch.float32, available=None) == frozenset()
    assert choose_offloaded(build(), torch.float32, available=whole) == frozenset()


@pytest.mark.parametrize("share", [0.9, 0.75, 0.5, 0.3])
def test_the_rest_and_the_largest_visitor_fit(share: float) -> None:
    module = build()
    room = int(bytes_of(module) * share)
    offloaded = choose_offloaded(module, torch.float32, available=room)
    sizes = {name: tensor.nbytes for name, tensor in module.state_dict().items()}
    here = sum(size for name, size in sizes.items() if name not in offloaded)
    visitors = {name.rsplit(".", 1)[0] for name in offloaded}
    assert visitors
    largest = max(sum(size for name, size in sizes.items() if name.startswith(f"{one}.")) for one in visitors)
    assert here + largest <= room or visitors == {"0", "1", "3"}


def test_half_precision_takes_half_the_room() -> None:
    room = bytes_of(build()) // 2
    assert choose_offloaded(build(), torch.float16, available=room) == frozenset()
    assert choose_offloaded(build(), torch.float32, available=room)


def test_visitors_come_for_each_call_and_leave() -> None:
    module = build().requires_grad_(False)
    x = torch.randn(3, 8)
    expected = module(x)
    home = {name: tensor.data_ptr() for name, tensor in module.state_dict().items()}
    moved: list[tuple[int, ...]] = []

    def move(tensor: torch.Tensor) -> torch.Tensor:
        moved.append(tuple(tensor.shape))
        return tensor.clone()

    load_for_each_call(module, {"1.weight", "1.bias"}, move)
    for _ in range(2):
        assert torch.equal(module(x), expected)
        assert {name: tensor.data_ptr() for name, tensor in module.state_dict().items()} == home
    assert moved == [(32, 8), (32,)] * 2


def test_a_call_that_fails_sends_them_back() -> None:
    module = build().requires_grad_(False)
    home = module[1].weight.data_ptr()
    load_for_each_call(module, {"1.weight", "1.bias"}, torch.Tensor.clone)
    with pytest.raises(RuntimeError):
        module[1](torch.zeros(3, 9))
    assert module[1].weight.data_ptr() == home


def test_a_network_without_room_computes_the_same(tmp_path: Path) -> None:
    weights = weights_in(tmp_path / "a.safetensors")
    x = torch.randn(2, 8)
    rooms = [bytes_of(build()) // 2]
    residency = Residency(available=lambda device: rooms[-1])
    layer = WeightLayer("more", {"1.weight": AdditivePatch(FullDifference(torch.ones(32, 8)))}, 0.5)
    for layers in ((), (layer,)):
        with Residency().use(weights, layers, build, device=CPU, dtype=torch.float32) as module:
            expected = module(x)
        with residency.use(weights, layers, build, device=CPU, dtype=torch.float32) as module:
            torch.testing.assert_close(module(x), expected)
            hooked = [name for name, part in module.named_modules() if part._forward_pre_hooks]
            assert hooked
    assert 0 < residency.size() < bytes_of(build())
    rooms.append(10 * bytes_of(build()))
    for layers in ((layer,), ()):
        with residency.use(weights, layers, build, device=CPU, dtype=torch.float32) as module:
            assert not any(part._forward_pre_hooks for part in module.modules())
    assert residency.size() == bytes_of(build()) + 4 * 8 * 32


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu(tmp_path: Path) -> None:
    weights = weights_in(tmp_path / "a.safetensors")
    device = torch.device("cuda")
    x = torch.randn(2, 8, device=device)
    with Residency(available=lambda device: None).use(weights, (), build, device=device, dtype=torch.float16) as module:
        expected = module(x.half())
    few = Residency(available=lambda device: bytes_of(build()) // 4)
    with few.use(weights, (), build, device=device, dtype=torch.float16) as module:
        assert any(tensor.is_pinned() for tensor in module.state_dict().values())
        torch.testing.assert_close(module(x.half()), expected)
