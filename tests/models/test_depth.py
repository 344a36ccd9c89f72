"""Depth Anything 3's encoder against transformers', and depth estimates of miniature weights."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from safelight.models.depth.depth_estimator import load_depth_estimator
from safelight.models.depth.dino_module import Dino, DinoShape
from safelight.models.miniatures.writing import write_miniature
from safelight.models.weights import UnknownWeights

RENAMED = {
    "attention.q_proj": "attention.attention.query",
    "attention.k_proj": "attention.attention.key",
    "attention.v_proj": "attention.attention.value",
    "attention.o_proj": "attention.output.dense",
}
"""Names of this version of transformers, and those of files."""


def test_the_encoder_is_transformers_dinov2() -> None:
    from transformers import Dinov2Config, Dinov2Model

    config = Dinov2Config(
        hidden_size=128, num_hidden_layers=3, num_attention_heads=2, mlp_ratio=2, image_size=112, patch_size=14
    )
    torch.manual_seed(0)
    theirs = Dinov2Model(config).eval()
    weights = {}
    for name, value in theirs.state_dict().items():
        value.copy_(torch.randn_like(value) * 0.05)
        for old, new in RENAMED.items():
            name = name.replace(old, new)
        weights[name] = value
    del weights["embeddings.mask_token"]
    ours = Dino(DinoShape(width=128, inner=256, layers=3, grid=8))
    ours.load_state_dict(weights)
    planes = torch.randn(2, 3, 112, 112)
    with torch.no_grad():
        (made,) = ours(planes, [2])
        expected = theirs(planes).last_hidden_state[:, 1:]
    assert (made - expected).norm() / expected.norm() < 1e-5


def test_position_embeddings_are_interpolated_to_the_picture() -> None:
    ours = Dino(DinoShape(width=64, inner=64, layers=4, grid=4))
    for value in ours.parameters():
        torch.nn.init.normal_(value, std=0.05)
    with torch.no_grad():
        states = ours(torch.randn(1, 3, 42, 98), [0, 3])
    assert [state.shape for state in states] == [(1, 21, 64)] * 2
    assert not torch.equal(*states)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (path,) = write_miniature("depth-anything-3", tmp_path_factory.mktemp("models"))
    return path


def test_each_picture_has_a_depth_above_zero_and_a_sky(model: Path) -> None:
    image = torch.rand(2, 28, 70, 3)
    made = load_depth_estimator(model).estimate(image)
    assert {name: tuple(plane.shape) for name, plane in made.items()} == {"depth": (2, 28, 70), "sky": (2, 28, 70)}
    assert (made["depth"] > 0).all()
    assert (made["sky"] >= 0).all()
    alone = load_depth_estimator(model).estimate(image[1:])
    torch.testing.assert_close(alone["depth"], made["depth"][1:])


def test_models_for_several_views_are_named(model: Path, tmp_path: Path) -> None:
    weights = {**load_file(model), "head.scratch.refinenet1_aux.out_conv.weight": torch.zeros(1, 1, 1, 1)}
    save_file(weights, tmp_path / "small.safetensors")
    with pytest.raises(UnknownWeights, match="several views"):
        load_depth_estimator(tmp_path / "small.safetensors")


def test_other_files_are_refused_with_what_is_missing(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(UnknownWeights, match=r"'a\.safetensors' is no Depth Anything 3 model"):
        load_depth_estimator(tmp_path / "a.safetensors")
