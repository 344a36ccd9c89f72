"""The image encoder of Qwen2.5-VL against transformers."""

import pytest
import torch
from tests.models.language.test_decoder import random_weights

from safelight.models.vision_tower.patches import patches
from safelight.models.vision_tower.qwen25 import PATCHES, Qwen25Vision, qwen25_vision_shape


@torch.no_grad()
def test_equals_transformers_in_the_order_of_windows() -> None:
    from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLVisionConfig
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VisionTransformerPretrainedModel

    config = Qwen2_5_VLVisionConfig(
        hidden_size=64, intermediate_size=96, depth=9, num_heads=16, out_hidden_size=48, fullatt_block_indexes=[7]
    )
    config._attn_implementation = "sdpa"
    theirs = random_weights(Qwen2_5_VisionTransformerPretrainedModel(config))
    state = theirs.state_dict()
    ours = Qwen25Vision(qwen25_vision_shape({f"visual.{name}": value.shape for name, value in state.items()}))
    ours.load_state_dict(state)
    cut = patches(torch.rand(300, 410, 3, generator=torch.Generator().manual_seed(2)), PATCHES)
    assert (cut.rows, cut.columns) == (22, 30)
    grid = torch.tensor([[1, cut.rows, cut.columns]])
    found = theirs(cut.pixels, grid)
    expected = found.pooler_output if hasattr(found, "pooler_output") else found
    groups = [(row, column) for row in range(11) for column in range(15)]
    groups.sort(key=lambda group: (group[0] // 4, group[1] // 4, group))  # windows of 4x4 groups
    order = [row * 15 + column for row, column in groups]
    torch.testing.assert_close(ours(cut).tokens, expected[order], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("size", "expected"), [((28, 28), (4, 4)), ((30, 1000), (2, 72)), ((20, 20), (4, 4))])
def test_pictures_are_resized_to_whole_groups_of_patches(size: tuple[int, int], expected: tuple[int, int]) -> None:
    cut = patches(torch.zeros(*size, 3), PATCHES)
    assert (cut.rows, cut.columns) == expected
    assert cut.pixels.shape == (expected[0] * expected[1], 3 * 2 * 14 * 14)
