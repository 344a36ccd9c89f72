"""A file of every LoRA format, applied to a weight, against the change computed element by element."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.models.lora.layouts import Shapes, clip, sd1, sdxl, unet

from safelight.media.media_errors import UnreadableWeights
from safelight.models.lora.file import LoraMismatch, read_lora
from safelight.models.lora.names import unet_names
from safelight.models.unet.diffusers_names import diffusers_names
from safelight.models.weight_layers import WeightPart


@dataclass(frozen=True)
class UNetOf:
    """A UNet with weights of these shapes."""

    shapes: Shapes

    @property
    def lora_names(self) -> Mapping[str, WeightPart]:
        return unet_names(self.shapes)


SMALL = unet(width=8, multipliers=(1, 2), depths=(1, 1), middle=1, context=6)
LINEAR = "input_blocks.4.1.transformer_blocks.0.attn2.to_k"  # [16, 6]
CONVOLUTION = "input_blocks.4.0.in_layers.2"  # [16, 8, 3, 3]
NORM = "input_blocks.4.0.in_layers.0"
DIFFUSERS = {
    LINEAR: "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k",
    CONVOLUTION: "down_blocks.1.resnets.0.conv1",
    NORM: "down_blocks.1.resnets.0.norm1",
}
ENCODERS = clip(width=4, layers=1, prefix="clip_l.", inner=2) | clip(width=6, layers=1, prefix="clip_g.", inner=2)


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape) + 7 * shape[0]))


DOWN, UP = random(2, 6), random(16, 2)
ALPHA = torch.tensor(3.0)


def dense(down: torch.Tensor, up: torch.Tensor) -> np.ndarray[Any, Any]:
    """Sums of products, one at a time."""
    made = np.zeros((up.shape[0], down.shape[1]))
    for row, column in np.ndindex(*made.shape):
        made[row, column] = sum(float(up[row, k]) * float(down[k, column]) for k in range(down.shape[0]))
    return made


def patched(
    folder: Path, tensors: dict[str, torch.Tensor], name: str, *, shapes: Shapes = SMALL, strength: float = 1.0
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The only weight that the file changes, which must be ``name``: before and after."""
    save_file({key: value.contiguous() for key, value in tensors.items()}, folder / "lora.safetensors")
    lora = read_lora(folder / "lora.safetensors")
    layer = lora.text_layer(shapes) if "text_model" in name else lora.network_layer(UNetOf(shapes))
    assert layer is not None
    assert list(layer.patches) == [name]
    weight = random(*shapes[name])
    kept = weight.clone()
    after = layer.patches[name].apply(weight, strength)
    assert torch.equal(weight, kept)
    return weight.numpy().astype(float), after.numpy()


@pytest.mark.parametrize(
    ("module", "down", "up"),
    [
        ("lora_unet_" + DIFFUSERS[LINEAR].replace(".", "_"), ".lora_down.weight", ".lora_up.weight"),
        ("lora_unet_" + LINEAR.replace(".", "_"), ".lora_down.weight", ".lora_up.weight"),
        ("lycoris_" + DIFFUSERS[LINEAR].replace(".", "_"), ".lora_down.weight", ".lora_up.weight"),
        ("diffusion_model." + LINEAR, ".lora_down.weight", ".lora_up.weight"),
        ("unet." + DIFFUSERS[LINEAR], ".lora_A.weight", ".lora_B.weight"),
        ("base_model.model." + DIFFUSERS[LINEAR], ".lora_A.default.weight", ".lora_B.default.weight"),
        ("unet." + DIFFUSERS[LINEAR], ".lora.down.weight", ".lora.up.weight"),
        (DIFFUSERS[LINEAR].replace("attn2", "attn2.processor"), "_lora.down.weight", "_lora.up.weight"),
        ("unet." + DIFFUSERS[LINEAR], ".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight"),
    ],
)
def test_low_rank_in_every_spelling(tmp_path: Path, module: str, down: str, up: str) -> None:
    before, after = patched(tmp_path, {module + down: DOWN, module + up: UP}, f"{LINEAR}.weight", strength=0.5)
    np.testing.assert_allclose(after, before + 0.5 * dense(DOWN, UP), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_alpha_over_rank_and_half_precision(tmp_path: Path, dtype: torch.dtype) -> None:
    down, up = DOWN.to(dtype), UP.to(dtype)
    key = "lora_unet_" + LINEAR.replace(".", "_")
    tensors = {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up, f"{key}.alpha": ALPHA.to(dtype)}
    before, after = patched(tmp_path, tensors, f"{LINEAR}.weight", strength=-2.0)
    np.testing.assert_allclose(after, before - 2.0 * 3.0 / 2 * dense(down, up), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("lora_te1_text_model_encoder_layers_0_mlp_fc2", "clip_l.text_model.encoder.layers.0.mlp.fc2"),
        ("lora_te_text_model_encoder_layers_0_mlp_fc2", "clip_l.text_model.encoder.layers.0.mlp.fc2"),
        ("lora_te2_text_model_encoder_layers_0_mlp_fc2", "clip_g.text_model.encoder.layers.0.mlp.fc2"),
        ("text_encoder.text_model.encoder.layers.0.mlp.fc2", "clip_l.text_model.encoder.layers.0.mlp.fc2"),
        ("text_encoder_2.text_model.encoder.layers.0.mlp.fc2", "clip_g.text_model.encoder.layers.0.mlp.fc2"),
        ("clip_g.text_model.encoder.layers.0.mlp.fc2", "clip_g.text_model.encoder.layers.0.mlp.fc2"),
    ],
)
def test_text_encoders(tmp_path: Path, module: str, name: str) -> None:
    rows, columns = ENCODERS[f"{name}.weight"]
    down, up = random(2, columns), random(rows, 2)
    tensors = {f"{module}.lora_down.weight": down, f"{module}.lora_up.weight": up}
    before, after = patched(tmp_path, tensors, f"{name}.weight", shapes=ENCODERS)
    np.testing.assert_allclose(after, before + dense(down, up), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("module", ["to_q_lora", "q_proj.lora_linear_layer"])
def test_attention_of_a_single_encoder_in_old_files(tmp_path: Path, module: str) -> None:
    at = "text_encoder.text_model.encoder.layers.0.self_attn."
    down, up = random(2, 4), random(4, 2)
    tensors = {f"{at}{module}.down.weight": down, f"{at}{module}.up.weight": up}
    name = "text_model.encoder.layers.0.self_attn.q_proj.weight"
    before, after = patched(tmp_path, tensors, name, shapes=clip(width=4, layers=1))
    np.testing.assert_allclose(after, before + dense(down, up), rtol=1e-5, atol=1e-5)


def test_a_convolution(tmp_path: Path) -> None:
    down, up = random(2, 8, 3, 3), random(16, 2, 1, 1)
    key = "lora_unet_" + DIFFUSERS[CONVOLUTION].replace(".", "_")
    tensors = {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up, f"{key}.alpha": ALPHA}
    before, after = patched(tmp_path, tensors, f"{CONVOLUTION}.weight")
    # Two consecutive convolutions equal one whose kernel is their product.
    picture = random(1, 8, 5, 5)
    behind = torch.conv2d(torch.conv2d(picture, down), up)
    change = torch.from_numpy(after - before).float()
    torch.testing.assert_close(torch.conv2d(picture, change), behind * 1.5, rtol=1e-4, atol=1e-4)


def test_a_convolution_with_a_core(tmp_path: Path) -> None:
    down, mid, up = random(2, 8, 1, 1), random(2, 2, 3, 3), random(16, 2, 1, 1)
    key = "lora_unet_" + DIFFUSERS[CONVOLUTION].replace(".", "_")
    tensors = {f"{key}.lora_down.weight": down, f"{key}.lora_mid.weight": mid, f"{key}.lora_up.weight": up}
    before, after = patched(tmp_path, tensors, f"{CONVOLUTION}.weight")
    picture = random(1, 8, 5, 5)
    behind = torch.conv2d(torch.conv2d(torch.conv2d(picture, down), mid), up)
    change = torch.from_numpy(after - before).float()
    torch.testing.assert_close(torch.conv2d(picture, change), behind, rtol=1e-4, atol=1e-4)


def test_hadamard(tmp_path: Path) -> None:
    a1, b1, a2, b2 = random(16, 2), random(2, 6), random(16, 2) + 1, random(2, 6) - 1
    key = "lora_unet_" + LINEAR.replace(".", "_")
    tensors = {"hada_w1_a": a1, "hada_w1_b": b1, "hada_w2_a": a2, "hada_w2_b": b2, "alpha": ALPHA}
    before, after = patched(tmp_path, {f"{key}.{part}": t for part, t in tensors.items()}, f"{LINEAR}.weight")
    np.testing.assert_allclose(after, before + 1.5 * dense(b1, a1) * dense(b2, a2), rtol=1e-5, atol=1e-5)


def test_hadamard_of_a_convolution_with_cores(tmp_path: Path) -> None:
    names = ("t1", "t2", "w1_a", "w1_b", "w2_a", "w2_b")
    parts = [random(2, 2, 3, 3), random(2, 2, 3, 3) + 1, *[random(2, n) * k for k in (1, 2) for n in (16, 8)]]
    t1, t2, a1, b1, a2, b2 = (part.double().numpy() for part in parts)
    key = "lora_unet_" + CONVOLUTION.replace(".", "_")
    tensors = {f"{key}.hada_{name}": part for name, part in zip(names, parts, strict=True)}
    before, after = patched(tmp_path, tensors, f"{CONVOLUTION}.weight")
    change = np.zeros(before.shape)
    for o, i, y, x in np.ndindex(*change.shape):
        one, other = (
            sum(t[p, q, y, x] * a[p, o] * b[q, i] for p in range(2) for q in range(2))
            for t, a, b in ((t1, a1, b1), (t2, a2, b2))
        )
        change[o, i, y, x] = one * other
    np.testing.assert_allclose(after, before + change, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("low", [(), ("w1",), ("w2",), ("w1", "w2")])
def test_kronecker(tmp_path: Path, low: tuple[str, ...]) -> None:
    factors = {"w1": (random(4, 1), random(1, 2)), "w2": (random(4, 1), random(1, 3))}
    key = "lora_unet_" + LINEAR.replace(".", "_")
    tensors = {f"{key}.alpha": ALPHA}
    for name, (a, b) in factors.items():
        if name in low:
            tensors |= {f"{key}.lokr_{name}_a": a, f"{key}.lokr_{name}_b": b}
        else:
            tensors[f"{key}.lokr_{name}"] = a @ b
    before, after = patched(tmp_path, tensors, f"{LINEAR}.weight")
    one, other = (dense(b, a) for a, b in factors.values())
    change = np.kron(one, other) * (3.0 if low else 1.0)
    np.testing.assert_allclose(after, before + change, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", ["whole", "product", "core"])
def test_kronecker_of_a_convolution(tmp_path: Path, form: str) -> None:
    one = random(4, 2)
    if form == "core":
        t2, a, b = random(1, 1, 3, 3), random(1, 4), random(1, 4)
        other = np.einsum("hw,o,i->oihw", t2[0, 0], a[0], b[0])
        tensors = {"lokr_t2": t2, "lokr_w2_a": a, "lokr_w2_b": b}
    elif form == "product":
        a, b = random(4, 2), random(2, 4 * 9)
        other = dense(b, a).reshape(4, 4, 3, 3)
        tensors = {"lokr_w2_a": a, "lokr_w2_b": b}
    else:
        whole = random(4, 4, 3, 3)
        other, tensors = whole.numpy(), {"lokr_w2": whole}
    key = "lora_unet_" + CONVOLUTION.replace(".", "_")
    tensors = {f"{key}.{part}": tensor for part, tensor in (tensors | {"lokr_w1": one}).items()}
    before, after = patched(tmp_path, tensors, f"{CONVOLUTION}.weight")
    for o, i in np.ndindex(16, 8):
        change = float(one[o // 4, i // 4]) * other[o % 4, i % 4]
        np.testing.assert_allclose(after[o, i], before[o, i] + change, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("strength", [1.0, 0.25])
@pytest.mark.parametrize("magnitude", [(1, 6), (16, 1), (16,)])
def test_magnitudes(tmp_path: Path, magnitude: tuple[int, ...], strength: float) -> None:
    learnt = random(*magnitude).abs()
    key, ending = "unet." + DIFFUSERS[LINEAR], ".lora_magnitude_vector" if len(magnitude) == 1 else ".dora_scale"
    tensors = {f"{key}.lora_A.weight": DOWN, f"{key}.lora_B.weight": UP, key + ending: learnt}
    before, after = patched(tmp_path, tensors, f"{LINEAR}.weight", strength=strength)
    full = before + dense(DOWN, UP)
    lengths = np.sqrt((full**2).sum(axis=0 if magnitude[0] == 1 else 1, keepdims=True))
    whole = full / lengths * learnt.numpy().reshape(lengths.shape)
    np.testing.assert_allclose(after, before + strength * (whole - before), rtol=1e-4, atol=1e-5)


def test_magnitudes_of_a_convolution(tmp_path: Path) -> None:
    down, up, learnt = random(2, 8, 3, 3), random(16, 2, 1, 1), random(1, 8, 1, 1).abs()
    key = "lora_unet_" + CONVOLUTION.replace(".", "_")
    tensors = {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up, f"{key}.dora_scale": learnt}
    _, after = patched(tmp_path, tensors, f"{CONVOLUTION}.weight")
    for index in range(8):
        assert np.linalg.norm(after[:, index]) == pytest.approx(float(learnt[0, index]), rel=1e-4)


@pytest.mark.parametrize(
    ("module", "part", "name"),
    [
        (LINEAR, "diff", f"{LINEAR}.weight"),
        (CONVOLUTION, "diff", f"{CONVOLUTION}.weight"),
        ("input_blocks.4.0.out_layers.3", "diff_b", "input_blocks.4.0.out_layers.3.bias"),
        (NORM, "w_norm", f"{NORM}.weight"),
        (NORM, "b_norm", f"{NORM}.bias"),
    ],
)
def test_whole_differences(tmp_path: Path, module: str, part: str, name: str) -> None:
    difference = random(*SMALL[name])
    key = "lora_unet_" + module.replace(".", "_")
    before, after = patched(tmp_path, {f"{key}.{part}": difference}, name, strength=0.5)
    np.testing.assert_allclose(after, before + 0.5 * difference.numpy(), rtol=1e-6, atol=1e-6)


def test_every_module_of_published_layouts_is_found(tmp_path: Path) -> None:
    """A file that changes all matrices of SD1, with kohya's names, fits SD1 completely and SDXL not at all."""
    matrices = {name: shape for name, shape in sd1().items() if len(shape) == 2}
    names = diffusers_names(name.removesuffix(".weight") for name in sd1())
    tensors = {}
    for name, (rows, columns) in matrices.items():
        key = "lora_unet_" + names[name.removesuffix(".weight")].replace(".", "_")
        tensors |= {f"{key}.lora_down.weight": torch.zeros(1, columns), f"{key}.lora_up.weight": torch.zeros(rows, 1)}
    save_file(tensors, tmp_path / "sd1.safetensors")
    lora = read_lora(tmp_path / "sd1.safetensors")
    layer = lora.network_layer(UNetOf(sd1()))
    assert layer is not None
    assert layer.patches.keys() == matrices.keys()
    assert lora.text_layer(ENCODERS) is None
    with pytest.raises(
        LoraMismatch, match=r"'sd1\.safetensors' is a LoRA for another model family.*lora_unet_down_blocks_0"
    ):
        lora.network_layer(UNetOf(sdxl()))


@pytest.mark.parametrize(
    "tensors",
    [
        {"lora_down": random(6, 2), "lora_up": random(2, 16)},  # the other way round
        {"lora_down": random(2, 6), "lora_up": random(16, 3)},  # of two ranks
        {"lora_down": torch.tensor(1.0), "lora_up": torch.tensor(1.0)},
    ],
)
def test_factors_that_do_not_fit(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    key = "lora_unet_" + LINEAR.replace(".", "_")
    save_file({f"{key}.{part}.weight": tensor for part, tensor in tensors.items()}, tmp_path / "odd.safetensors")
    with pytest.raises(LoraMismatch, match="1 of the 1 modules it changes are missing from this model"):
        read_lora(tmp_path / "odd.safetensors").network_layer(UNetOf(SMALL))


def test_files_that_are_none(tmp_path: Path) -> None:
    save_file({"model.weight": DOWN}, tmp_path / "other.safetensors")
    with pytest.raises(LoraMismatch, match=r"contains no LoRA weights; its first keys are model\.weight"):
        read_lora(tmp_path / "other.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "other.safetensors").read_bytes()[:-1])
    with pytest.raises(UnreadableWeights):
        read_lora(tmp_path / "cut.safetensors")
    torch.save({"a": DOWN}, tmp_path / "pickle.safetensors")
    with pytest.raises(UnreadableWeights, match="is a pickle"):
        read_lora(tmp_path / "pickle.safetensors")
