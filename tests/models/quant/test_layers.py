"""Networks on quantised files: kept as stored, changed layer by layer."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from safelight.models.lora.changes import AdditivePatch, LowRank, Product
from safelight.models.offload import choose_offloaded
from safelight.models.quant import quantizing
from safelight.models.quant.ggml_file import write_gguf
from safelight.models.quant.layers import QuantizedEmbedding, QuantizedLinear, use_quantized
from safelight.models.residency import Residency
from safelight.models.weight_layers import WeightLayer
from safelight.models.weights import UnknownWeights, Weights, weight_file

CPU = torch.device("cpu")
WIDTH = 512


def build() -> nn.Module:
    return nn.ModuleDict(
        {"words": nn.Embedding(300, WIDTH), "one": nn.Linear(WIDTH, 384), "other": nn.Linear(WIDTH, 256, bias=False)}
    )


def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {name: value.detach().clone() for name, value in build().state_dict().items()}


def quantized_file(path: Path, format: str) -> Weights:
    plain = tensors()
    if format.startswith("Q"):
        matrices = {name: format for name in plain if name.endswith(".weight")}
        write_gguf(path, plain, formats=matrices)
        return weight_file(path).weights()
    stored = {"one.bias": plain["one.bias"]}
    for layer in ("words", "one", "other"):
        stored |= quantizing.quantized(layer, plain[f"{layer}.weight"], format)
    save_file(stored, path)
    return weight_file(path).weights()


def lora(rows: int) -> AdditivePatch:
    torch.manual_seed(1)
    return AdditivePatch(LowRank(Product(torch.randn(rows, 4), torch.randn(4, WIDTH)), alpha=2.0))


@pytest.mark.parametrize("format", ["fp8_scaled", "int8_convrot", "nvfp4_awq", "mxfp8", "w4a8", "w4a4", "Q4_K", "Q8_0"])
def test_layers_compute_with_the_numbers_of_the_file(tmp_path: Path, format: str) -> None:
    weights = quantized_file(tmp_path / "q", format)
    numbers = dict(weights.read())
    residency = Residency()
    with residency.use(weights, (), build, device=CPU, dtype=torch.float32) as module:
        assert isinstance(module["one"], QuantizedLinear)
        assert isinstance(module["words"], QuantizedEmbedding)
        x = torch.randn(2, 3, WIDTH)
        expected = x @ numbers["one.weight"].T + tensors()["one.bias"]
        torch.testing.assert_close(module["one"](x), expected, rtol=1e-5, atol=1e-5)
        chosen = torch.tensor([[0, 299], [7, 7]])
        torch.testing.assert_close(module["words"](chosen), numbers["words.weight"][chosen])
    dense = sum(value.nbytes for value in tensors().values())
    assert residency.size() < dense * 0.28


def test_a_lora_changes_quantised_layers_without_dense_copies(tmp_path: Path) -> None:
    weights = quantized_file(tmp_path / "q", "int8_convrot")
    residency = Residency()
    layer = WeightLayer("l", {"one.weight": lora(384), "words.weight": lora(300)}, strength=0.5)
    with residency.use(weights, (layer,), build, device=CPU, dtype=torch.float32) as module:
        changed = module["one"].dequantized(), module["words"](torch.tensor([3]))
    size = residency.size()
    with residency.use(weights, (), build, device=CPU, dtype=torch.float32) as module:
        plain = module["one"].dequantized(), module["words"](torch.tensor([3]))
        assert not module["one"].patches
    delta = layer.patches["one.weight"].apply(torch.zeros(384, WIDTH), 0.5)
    torch.testing.assert_close(changed[0], plain[0] + delta)
    torch.testing.assert_close(
        changed[1] - plain[1], layer.patches["words.weight"].apply(torch.zeros(300, WIDTH), 0.5)[3:4]
    )
    assert residency.size() == size  # the parts are shared, and the change takes no space


def test_offloaded_quantised_layers_count_their_own_bytes(tmp_path: Path) -> None:
    weights = quantized_file(tmp_path / "q", "int8")
    with torch.device("meta"):
        module = build()
        use_quantized(module, weights.quantized, torch.float32)
    assert choose_offloaded(module, torch.float32, available=10**9) == frozenset()
    offloaded = choose_offloaded(module, torch.float32, available=400_000)
    assert {"one.weight", "one.weight_scale", "one.bias"} <= offloaded
    for available in (None, 400_000):
        residency = Residency(available=lambda device, limit=available: limit)  # type: ignore[misc]
        with residency.use(weights, (), build, device=CPU, dtype=torch.float32) as used:
            result = used["one"](torch.ones(1, WIDTH))
        torch.testing.assert_close(result[0], dict(weights.read())["one.weight"].sum(1) + tensors()["one.bias"])


def test_a_quantised_weight_of_another_shape_is_an_error_with_the_file(tmp_path: Path) -> None:
    weights = quantized_file(tmp_path / "narrow.safetensors", "int8")

    def other() -> nn.Module:
        return nn.ModuleDict({"one": nn.Linear(WIDTH, 400)})

    message = r"narrow.safetensors cannot be used .* 'one.weight' is \[384, 512\], the network needs \[400, 512\]"
    with (
        pytest.raises(UnknownWeights, match=message),
        Residency().use(weights, (), other, device=CPU, dtype=torch.float32),
    ):
        pass


@pytest.mark.parametrize("rounds", [False, True])
def test_a_network_too_large_in_float32_stays_in_half_precision(tmp_path: Path, rounds: bool) -> None:
    save_file({name: value.bfloat16() for name, value in tensors().items()}, tmp_path / "h.safetensors")
    weights = weight_file(tmp_path / "h.safetensors").weights()
    layer = WeightLayer("l", {"one.weight": lora(384)}, strength=0.5)
    found = []
    for memory, kind in ((10**12, nn.Linear), (10**6, QuantizedLinear)):
        residency = Residency(main_memory=lambda free=memory: free)  # type: ignore[misc]
        made = []
        for layers in ((), (layer,)):
            with residency.use(weights, layers, build, device=CPU, dtype=torch.float32, rounds=rounds) as module:
                assert isinstance(module["one"], kind)
                x = torch.linspace(-1, 1, WIDTH)[None]
                made += [module["one"](x), module["words"](torch.tensor([5])), module["other"](x)]
        found.append((made, residency.size()))
    for one, other in zip(found[0][0], found[1][0], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    assert found[1][1] < found[0][1] * 0.51
