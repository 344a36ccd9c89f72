"""Quantised files: what each format's numbers are, and how far they are from the weights."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from safelight.media.media_errors import UnreadableWeights
from safelight.models.quant import ggml_encoding, quantizing
from safelight.models.quant.block_scales import in_row_order, in_stored_order
from safelight.models.quant.ggml_blocks import TYPES
from safelight.models.quant.ggml_file import write_gguf
from safelight.models.quant.rotation import hadamard, rotated
from safelight.models.weights import weight_file

ERRORS = {
    "fp8_e4m3fn": 0.034,
    "fp8_scaled_old": 0.027,
    "fp8_scaled": 0.027,
    "fp8_e5m2_scaled": 0.053,
    "int8": 0.008,
    "int8_convrot": 0.0075,
    "nvfp4": 0.096,
    "nvfp4_awq": 0.096,
    "mxfp8": 0.027,
    "w4a8": 0.076,
    "w4a4": 0.135,
    "Q4_0": 0.087,
    "Q4_1": 0.079,
    "Q5_0": 0.043,
    "Q5_1": 0.038,
    "Q8_0": 0.0054,
    "Q2_K": 0.33,
    "Q3_K": 0.155,
    "Q4_K": 0.079,
    "Q5_K": 0.039,
    "Q6_K": 0.019,
}
"""Relative error (L2) of normal weights with one outlier, as in docs/reference/quantised-files.md."""


def normal_weight() -> torch.Tensor:
    weight = torch.randn(384, 512, generator=torch.Generator().manual_seed(0)) * 0.02
    weight[5, 7] = 0.3
    return weight


def written(path: Path, weight: torch.Tensor, format: str) -> Path:
    """A file with the layer ``a.b`` in this format, and its bias."""
    bias = torch.arange(weight.shape[0], dtype=torch.float16)
    if format in TYPES:
        file = path / f"{format}.gguf"
        write_gguf(file, {"a.b.weight": weight, "a.b.bias": bias}, formats={"a.b.weight": format})
        return file
    tensors = {**quantizing.quantized("a.b", weight, format), "a.b.bias": bias}
    if format == "fp8_scaled_old":
        tensors["scaled_fp8"] = torch.zeros(2).to(torch.float8_e4m3fn)
    save_file(tensors, path / f"{format}.safetensors")
    return path / f"{format}.safetensors"


@pytest.mark.parametrize("format", ERRORS)
def test_a_written_file_is_read_with_the_error_of_its_format(tmp_path: Path, format: str) -> None:
    weight = normal_weight()
    weights = weight_file(written(tmp_path, weight, format)).weights("a.")
    assert dict(weights.shapes) == {"b.weight": weight.shape, "b.bias": (384,)}
    read = dict(weights.read())
    assert torch.equal(read["b.bias"], torch.arange(384, dtype=torch.float16))
    error = float((read["b.weight"] - weight).norm() / weight.norm())
    assert ERRORS[format] * 0.95 < error < ERRORS[format]


@pytest.mark.parametrize("format", [format for format in ERRORS if format not in ("w4a8",)])
def test_a_second_rounding_changes_little(tmp_path: Path, format: str) -> None:
    """Numbers that a format can hold come back: the writer and the reader agree about every code."""
    ((_, once),) = weight_file(written(tmp_path, normal_weight(), format)).weights().read(["a.b.weight"])
    ((_, twice),) = weight_file(written(tmp_path, once, format)).weights().read(["a.b.weight"])
    assert float((twice - once).norm() / once.norm()) < ERRORS[format] * 0.6


@pytest.mark.parametrize("format", TYPES)
def test_gguf_blocks_are_those_of_the_gguf_package(format: str) -> None:
    gguf = pytest.importorskip("gguf")
    encoded = ggml_encoding.encoded(normal_weight(), format)
    from safelight.models.quant.ggml_blocks import GgmlBlocks

    expected = torch.from_numpy(gguf.quants.dequantize(encoded.numpy(), gguf.GGMLQuantizationType[format]))
    assert torch.equal(GgmlBlocks(format).dequantized({"weight": encoded}), expected)


def test_the_rotation_is_orthogonal_and_spreads_an_outlier() -> None:
    matrix = hadamard(256)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(256))
    assert matrix.sum(dim=0).unique().tolist() == [1.0]  # regular: all columns have one sum
    weight = torch.zeros(1, 512)
    weight[0, 3] = 16.0
    spread = rotated(weight, 256)
    assert spread[0, :256].abs().unique().tolist() == [1.0]
    assert not spread[0, 256:].any()
    torch.testing.assert_close(rotated(spread, 256), weight)


def test_scales_of_blocks_lie_in_tiles_of_128_rows() -> None:
    scales = torch.arange(130 * 6).reshape(130, 6)
    stored = in_stored_order(scales)
    assert stored.shape == (256, 8)
    flat = stored.flatten()
    for row, column in ((0, 0), (31, 3), (32, 0), (127, 5), (129, 4)):
        tile = (row // 128) * 2 + column // 4
        position = tile * 512 + (row % 32) * 16 + (row % 128) // 32 * 4 + column % 4
        assert flat[position] == scales[row, column]
    assert torch.equal(in_row_order(stored, 130, 6), scales)


def test_layers_described_in_the_metadata_are_read_as_marked_ones(tmp_path: Path) -> None:
    tensors = quantizing.quantized("a.b", normal_weight(), "int8")
    marked = tmp_path / "marked.safetensors"
    save_file(tensors, marked)
    del tensors["a.b.comfy_quant"]
    described = tmp_path / "described.safetensors"
    layers = {"layers": {"a.b": {"format": "int8_tensorwise"}}}
    save_file(tensors, described, {"_quantization_metadata": json.dumps(layers)})
    (one,), (other,) = (dict(weight_file(path).weights().read()).values() for path in (marked, described))
    assert torch.equal(one, other)


def test_padded_matrices_keep_their_numbers(tmp_path: Path) -> None:
    weight = normal_weight()[:20, :40]
    for format, shape in (("nvfp4", (32, 48)), ("mxfp8", (32, 64))):
        ((_, read),) = weight_file(written(tmp_path, weight, format)).weights().read(["a.b.weight"])
        assert read.shape == shape
        assert float((read[:20, :40] - weight).norm() / weight.norm()) < ERRORS[format] * 1.2
        assert not read[20:].any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a.b.comfy_quant": {"format": "int3"}}, "is quantised as 'int3' in layer 'a.b'; supported are"),
        ({"a.b.comfy_quant": {"format": "nvfp4"}}, "is 'nvfp4', but lacks 'a.b.weight_scale_2'"),
        ({"a.b.comfy_quant": {"format": "float8_e4m3fn"}}, "has the type I8; F8_E4M3 is expected"),
        ({"a.b.comfy_quant": [1]}, "is not a JSON object"),
        ({"a.b.weight_scale": torch.ones(7)}, "does not match its tensors: 7 scales for 384 rows"),
        (
            {"a.b.comfy_quant": {"format": "int8_tensorwise", "convrot": True, "convrot_groupsize": 128}},
            "groups of 128",
        ),
    ],
)
def test_a_mislabelled_file_is_refused_with_its_name(tmp_path: Path, change: dict[str, object], message: str) -> None:
    tensors = quantizing.quantized("a.b", normal_weight(), "int8")
    for key, value in change.items():
        tensors[key] = value if isinstance(value, torch.Tensor) else quantizing.mark(value)  # type: ignore[arg-type]
    save_file(tensors, tmp_path / "wrong.safetensors")
    with pytest.raises(UnreadableWeights, match=message) as caught:
        weight_file(tmp_path / "wrong.safetensors")
    assert "'wrong.safetensors'" in str(caught.value)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    for format in ("nvfp4", "Q4_K"):
        file = written(tmp_path, normal_weight(), format)
        file.write_bytes(file.read_bytes()[:-200])
        with pytest.raises(UnreadableWeights, match=file.name):
            weight_file(file)
