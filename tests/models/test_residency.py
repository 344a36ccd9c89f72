"""Weights in memory: shared under layers, evicted by use, freed on request."""

import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from safelight.media.media_errors import UnreadableWeights
from safelight.models.lora.changes import AdditivePatch, FullDifference
from safelight.models.residency import Residency
from safelight.models.weight_layers import WeightLayer
from safelight.models.weights import UnknownWeights, Weights, weight_file

CPU = torch.device("cpu")
BYTES = 4 * (8 * 8 + 8) * 2


def build() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))


def weights_in(path: Path, *, seed: int = 0) -> Weights:
    torch.manual_seed(seed)
    save_file({name: value.clone() for name, value in build().state_dict().items()}, path)
    return weight_file(path).weights()


def layer(amount: float, *, strength: float = 1.0) -> WeightLayer:
    return WeightLayer("more", {"1.weight": AdditivePatch(FullDifference(torch.full((8, 8), amount)))}, strength)


def held(residency: Residency, weights: Weights, *layers: WeightLayer) -> dict[str, torch.Tensor]:
    with residency.use(weights, layers, build, device=CPU, dtype=torch.float32) as module:
        return dict(module.state_dict())


def test_weights_are_those_of_the_file(tmp_path: Path) -> None:
    weights = weights_in(tmp_path / "a.safetensors")
    state = held(Residency(), weights)
    assert {name: torch.equal(value, state[name]) for name, value in weights.read()} == dict.fromkeys(state, True)


def test_layers_share_what_they_do_not_change(tmp_path: Path) -> None:
    residency = Residency()
    weights = weights_in(tmp_path / "a.safetensors")
    plain = held(residency, weights)
    one, other = held(residency, weights, layer(1.0)), held(residency, weights, layer(1.0, strength=-2.0))
    assert one["0.weight"].data_ptr() == other["0.weight"].data_ptr() == plain["0.weight"].data_ptr()
    torch.testing.assert_close(one["1.weight"], plain["1.weight"] + 1)
    torch.testing.assert_close(other["1.weight"], plain["1.weight"] - 2)
    assert residency.size() == BYTES + 2 * 8 * 8 * 4


def test_a_network_stays_for_the_next_who_asks(tmp_path: Path) -> None:
    residency = Residency()
    weights = weights_in(tmp_path / "a.safetensors")
    assert held(residency, weights)["0.weight"].data_ptr() == held(residency, weights)["0.weight"].data_ptr()
    again = weight_file(tmp_path / "a.safetensors").weights()
    assert held(residency, again)["0.weight"].data_ptr() == held(residency, weights)["0.weight"].data_ptr()
    assert residency.files() == {(tmp_path / "a.safetensors").resolve()}
    residency.free()
    assert (residency.size(), residency.files()) == (0, frozenset())


def test_many_networks_in_turn_do_not_grow(tmp_path: Path) -> None:
    residency = Residency(budget=2 * BYTES)
    for number in range(10):
        held(residency, weights_in(tmp_path / f"{number}.safetensors", seed=number))
        assert residency.size() <= 2 * BYTES
    assert {path.name for path in residency.files()} == {"8.safetensors", "9.safetensors"}


def test_networks_in_use_are_not_evicted(tmp_path: Path) -> None:
    residency = Residency(budget=0)
    weights = weights_in(tmp_path / "a.safetensors")
    with residency.use(weights, (), build, device=CPU, dtype=torch.float32) as module:
        residency.free()
        held(residency, weights_in(tmp_path / "b.safetensors"))
        assert {path.name for path in residency.files()} == {"a.safetensors"}
        assert module(torch.zeros(1, 8)).shape == (1, 8)
    assert residency.size() == 0


def test_several_threads_load_once(tmp_path: Path) -> None:
    residency = Residency()
    weights = weights_in(tmp_path / "a.safetensors")
    seen: list[int] = []
    threads = [
        threading.Thread(target=lambda: seen.append(held(residency, weights)["0.weight"].data_ptr())) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(seen)) == 1


def test_a_file_that_changed_is_an_error(tmp_path: Path) -> None:
    weights = weights_in(tmp_path / "a.safetensors")
    save_file({"0.weight": torch.zeros(9, 9)}, tmp_path / "a.safetensors")
    with pytest.raises(UnreadableWeights, match="was changed while a job was using it"):
        held(Residency(), weights)


def test_weights_of_another_network_are_an_error(tmp_path: Path) -> None:
    save_file({"0.weight": torch.zeros(8, 8)}, tmp_path / "a.safetensors")
    with pytest.raises(
        UnknownWeights, match=r"a\.safetensors lack 3 of the network's 4 weights: 0\.bias, 1\.weight, 1\.bias"
    ):
        held(Residency(), weight_file(tmp_path / "a.safetensors").weights())


def test_weights_loaded_in_inference_mode_work_outside_it(tmp_path: Path) -> None:
    residency = Residency()
    weights = weights_in(tmp_path / "a.safetensors")
    with torch.inference_mode():
        held(residency, weights)
    state = held(residency, weights, layer(1.0))
    torch.testing.assert_close(state["1.weight"], dict(weights.read())["1.weight"] + 1)
