"""Stable Diffusion 3: detection, its text encoders together and alone, and its names in LoRA files."""

from pathlib import Path

import pytest
import torch
from benchmarks.against_comfyui.families import ARCHITECTURES, write_weights

from safelight.models.checkpoint import load_diffusion_model
from safelight.models.families.registry import text_recipe
from safelight.models.families.sd3.lora_names import mmdit_names
from safelight.models.families.sd3.mmdit_module import MMDiTInputs
from safelight.models.families.sd3.text import joined
from safelight.models.inputs import WrongConditioning
from safelight.models.stored_network import StoredNetwork
from safelight.models.text.recipe import Encoding
from safelight.models.weight_layers import WeightPart

L = Encoding(torch.full((1, 77, 768), 1.0), pooled=torch.full((1, 768), 1.5))
G = Encoding(torch.full((1, 154, 1280), 2.0), pooled=torch.full((1, 1280), 2.5))
T5 = Encoding(torch.full((1, 80, 4096), 3.0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sd3")


@pytest.mark.parametrize("family", ["sd35 large", "sd35 medium", "sd3 medium"])
def test_depth_and_width_are_read_from_the_file(family: str, folder: Path) -> None:
    model = load_diffusion_model(write_weights(family, folder))
    assert model.family == "sd3"
    assert isinstance(model.network, StoredNetwork)
    assert model.network.architecture == ARCHITECTURES[family]


def test_encoders_are_side_by_side_and_then_below_each_other() -> None:
    made = joined({"l": L, "g": G, "t5xxl": T5})
    assert made.hidden.shape == (1, 157, 4096)
    assert made.hidden[0, 0, [0, 767, 768, 2047, 2048]].tolist() == [1.0, 1.0, 2.0, 2.0, 0.0]
    assert made.hidden[0, 77, 4095] == 3.0
    assert made.pooled is not None
    assert made.pooled[0, [0, 768]].tolist() == [1.5, 2.5]


def test_encoders_that_are_missing_are_zeros() -> None:
    only_t5 = joined({"t5xxl": T5})
    assert torch.equal(only_t5.hidden, T5.hidden)
    assert only_t5.pooled is not None
    assert only_t5.pooled.shape == (1, 2048)
    assert not only_t5.pooled.any()
    only_g = joined({"g": G})
    assert only_g.hidden.shape == (1, 154, 4096)
    assert only_g.hidden[0, 0, [0, 768, 2048]].tolist() == [0.0, 2.0, 0.0]


@pytest.mark.parametrize("kinds", [{"clip_l"}, {"t5xxl"}, {"clip_l", "clip_g"}, {"clip_l", "clip_g", "t5xxl"}])
def test_any_of_the_three_encoders_may_be_missing(kinds: set[str]) -> None:
    found = text_recipe("sd3", frozenset(kinds))
    assert found is not None
    assert {one.kind for one in found.encoders.values()} == kinds


def test_conditioning_of_another_family_is_an_error(folder: Path) -> None:
    network = load_diffusion_model(write_weights("sd3 medium", folder)).network
    shape, cpu = torch.Size((1, 16, 8, 8)), torch.device("cpu")
    made = network.prepare_inputs(
        torch.zeros(1, 9, 4096), {"pooled_output": torch.ones(1, 2048)}, shape=shape, device=cpu
    )
    assert isinstance(made, MMDiTInputs)
    with pytest.raises(WrongConditioning, match=r"has 4096 and 768; load its text encoders with type 'sd3'"):
        network.prepare_inputs(torch.zeros(1, 9, 4096), {"pooled_output": torch.ones(1, 768)}, shape=shape, device=cpu)


def test_a_picture_larger_than_the_grid_is_an_error(folder: Path) -> None:
    network = load_diffusion_model(write_weights("sd3 medium", folder)).network
    inputs = MMDiTInputs(torch.zeros(1, 9, 4096), torch.zeros(1, 2048))
    with (
        network.session() as predict,
        torch.no_grad(),
        pytest.raises(ValueError, match="up to 12 pixels per side, not on 16 x 8"),
    ):
        predict(torch.zeros(1, 16, 8, 16), torch.tensor([500.0]), inputs)


def test_names_in_lora_files() -> None:
    module = ARCHITECTURES["sd35 medium"].build()
    names = mmdit_names({name: value.shape for name, value in module.state_dict().items()})
    assert names["joint_blocks_0_x_block_attn_qkv"] == WeightPart("joint_blocks.0.x_block.attn.qkv")
    assert names["transformer_blocks_0_attn2_to_k"] == WeightPart("joint_blocks.0.x_block.attn2.qkv", (128, 256))
    added = WeightPart("joint_blocks.1.context_block.attn.qkv", (256, 384))
    assert names["transformer_blocks_1_attn_add_v_proj"] == added
    assert names["transformer_blocks_0_attn_to_out"] == WeightPart("joint_blocks.0.x_block.attn.proj")
