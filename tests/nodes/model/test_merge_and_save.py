"""Models are merged weight by weight, and saved to files that load again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from tests.models.unets import stored, unet_of
from tests.nodes.context import FolderContext

from safelight.models.checkpoint import load_autoencoder, load_checkpoint, load_diffusion_model
from safelight.models.diffusion_model import DiffusionModel
from safelight.models.latent_format import LatentFormat
from safelight.models.lora.changes import AdditivePatch, FullDifference
from safelight.models.merging import IncompatibleModels, patched_weight
from safelight.models.sampling.levels import DiscreteLevels
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.sampling.prediction import Noise
from safelight.models.saving import _in_open_clip_layout
from safelight.models.text.clip_weights import clip_weights
from safelight.models.text.encoder_module import ClipText, TextShape
from safelight.models.unet.unet_module import Heads, UNet
from safelight.models.weight_layers import WeightLayer
from safelight.models.weights import weight_file
from safelight.nodes.model.merge import (
    CLIPMergeSimple,
    ModelMergeAdd,
    ModelMergeBlocks,
    ModelMergeSimple,
    ModelMergeSubtract,
)
from safelight.nodes.model.save import CheckpointSave, CLIPSave, ModelSave, VAESave
from safelight.settings import BUNDLED_MODELS

BUNDLED = BUNDLED_MODELS / "checkpoints" / "safelight-miniature.safetensors"
WEIGHT = "time_embed.0.weight"


@pytest.fixture(autouse=True)
def context(tmp_path: Path) -> Iterator[FolderContext]:
    with FolderContext(tmp_path).running() as running:
        yield running


def model_in(path: Path, *, seed: int, channels: int = 32) -> DiffusionModel:
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    shape = unet_of(channels=channels, multipliers=(1, 2), depths=(0, 1), residuals=1, context=8)
    save_file(UNet(shape, heads=Heads(count=2)).state_dict(), path)
    network = stored(weight_file(path).weights(), shape, Heads(count=2))
    return DiffusionModel(network, Parameterization(Noise(), DiscreteLevels()), LatentFormat(), family="sd1")


@pytest.fixture
def pair(tmp_path: Path) -> tuple[DiffusionModel, DiffusionModel]:
    return model_in(tmp_path / "one.safetensors", seed=1), model_in(tmp_path / "two.safetensors", seed=2)


def weight(model: Any, name: str = WEIGHT) -> torch.Tensor:
    return patched_weight(model.network.weights, model.network.layers, name)


def merged(node: Any, *arguments: Any) -> DiffusionModel:
    (made,) = node.execute(*arguments).values
    return made  # type: ignore[no-any-return]


def test_shares_of_two_models(pair: tuple[DiffusionModel, DiffusionModel]) -> None:
    one, two = (weight(model) for model in pair)
    torch.testing.assert_close(weight(merged(ModelMergeSimple, *pair, 0.25)), 0.25 * one + 0.75 * two)
    torch.testing.assert_close(weight(merged(ModelMergeAdd, *pair)), one + two)
    torch.testing.assert_close(weight(merged(ModelMergeSubtract, *pair, 2.0)), 2 * one - 2 * two)
    torch.testing.assert_close(weight(pair[0]), one)


def test_layers_of_the_second_model_are_merged_too(pair: tuple[DiffusionModel, DiffusionModel]) -> None:
    layer = WeightLayer("ones", {WEIGHT: AdditivePatch(FullDifference(torch.ones_like(weight(pair[1]))))})
    made = merged(ModelMergeSimple, pair[0], pair[1].with_layers(layer), 0.5)
    torch.testing.assert_close(weight(made), 0.5 * weight(pair[0]) + 0.5 * (weight(pair[1]) + 1))


def test_blocks_have_ratios_of_their_own(pair: tuple[DiffusionModel, DiffusionModel]) -> None:
    made = merged(ModelMergeBlocks, *pair, 1.0, 0.0, 0.5)
    for name, share in (
        ("input_blocks.0.0.weight", 1.0),
        (WEIGHT, 1.0),
        ("middle_block.0.in_layers.2.weight", 0.0),
        ("output_blocks.0.0.in_layers.2.weight", 0.5),
        ("out.2.weight", 0.5),
    ):
        expected = share * weight(pair[0], name) + (1 - share) * weight(pair[1], name)
        torch.testing.assert_close(weight(made, name), expected)


def test_models_of_other_kinds_do_not_mix(pair: tuple[DiffusionModel, DiffusionModel], tmp_path: Path) -> None:
    other = model_in(tmp_path / "wide.safetensors", seed=3, channels=64)
    with pytest.raises(IncompatibleModels, match="the models share only"):
        ModelMergeSimple.execute(pair[0], other, 0.5)


def test_a_checkpoint_is_saved_unchanged_and_with_changes(tmp_path: Path) -> None:
    loaded = load_checkpoint(BUNDLED)
    assert loaded.text is not None
    assert loaded.autoencoder is not None
    layer = WeightLayer("ones", {WEIGHT: AdditivePatch(FullDifference(torch.ones(192, 48)))})
    CheckpointSave.execute(loaded.model.with_layers(layer), loaded.text, loaded.autoencoder, "checkpoints/mine")
    path = tmp_path / "output" / "checkpoints" / "mine_00001_.safetensors"
    with safe_open(BUNDLED, "pt") as original, safe_open(path, "pt") as written:
        assert set(written.keys()) == set(original.keys())
        for name in original.keys():  # noqa: SIM118 (no mapping)
            change = 1.0 if name.endswith(WEIGHT) else 0.0
            tensor = original.get_tensor(name)
            torch.testing.assert_close(written.get_tensor(name), (tensor.float() + change).to(tensor.dtype))
    again = load_checkpoint(path)
    assert again.model.latent_format == loaded.model.latent_format


def test_parts_are_written_alone(tmp_path: Path) -> None:
    loaded = load_checkpoint(BUNDLED)
    assert loaded.text is not None
    assert loaded.autoencoder is not None
    ModelSave.execute(loaded.model, "models/mine")
    again = load_diffusion_model(tmp_path / "output" / "models" / "mine_00001_.safetensors")
    assert set(again.network.shapes) == set(loaded.model.network.shapes)
    VAESave.execute(loaded.autoencoder, "vae/mine")
    vae = load_autoencoder(tmp_path / "output" / "vae" / "mine_00001_.safetensors")
    assert vae.shape == loaded.autoencoder.shape
    (half,) = CLIPMergeSimple.execute(loaded.text, loaded.text, 0.5).values
    CLIPSave.execute(half, "clip/mine")
    weights = clip_weights(weight_file(tmp_path / "output" / "clip" / "mine_00001_.safetensors").weights())
    assert set(weights.prefixed("clip_l.").sources) == set(loaded.text.weights.sources)
    for name, tensor in weights.prefixed("clip_l.").read():
        ((_, original),) = loaded.text.weights.read([name])
        torch.testing.assert_close(tensor, original)


def test_open_clip_names_round_trip(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    torch.manual_seed(0)
    shape = TextShape(vocabulary=10, length=7, width=8, inner=16, layers=2, projection=8)
    state = ClipText(shape, heads=2, activation="gelu").state_dict()
    fused = {name: tensor.contiguous() for name, tensor in _in_open_clip_layout(dict(state)).items()}
    assert "transformer.resblocks.1.attn.in_proj_weight" in fused
    save_file(fused, tmp_path / "g.safetensors")
    again = dict(clip_weights(weight_file(tmp_path / "g.safetensors").weights()).read())
    assert set(again) == set(state)
    assert all(torch.equal(again[name], tensor) for name, tensor in state.items())
