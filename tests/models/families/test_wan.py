"""Wan: how its files are told, what it refuses, and LoRAs of each dialect."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from benchmarks.against_comfyui.families import ARCHITECTURES, write_weights
from safetensors.torch import save_file
from tests.nodes.context import FolderContext

from safelight.models.checkpoint import load_diffusion_model
from safelight.models.diffusion_model import DiffusionModel
from safelight.models.families.wan.network import WanInputs, wan_shape
from safelight.models.inputs import WrongConditioning
from safelight.models.lora.file import read_lora
from safelight.sdk import Cancelled

SHAPE = torch.Size((1, 16, 3, 6, 8))
FAMILIES = [name for name in ARCHITECTURES if name.startswith("wan")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


def inputs(model: DiffusionModel, **options: Any) -> WanInputs:
    made = model.network.prepare_inputs(torch.zeros(1, 5, 96), options, shape=SHAPE, device=torch.device("cpu"))
    assert isinstance(made, WanInputs)
    return made


@pytest.mark.parametrize("name", FAMILIES)
def test_the_shape_is_read_from_the_file(name: str, folder: Path) -> None:
    model = load_diffusion_model(write_weights(name, folder))
    assert model.family == "wan"
    assert wan_shape(model.network.shapes) == ARCHITECTURES[name].shape  # type: ignore[attr-defined]
    assert model.latent_format.channels == (48 if name == "wan22 5b" else 16)


def test_depth_is_read_from_the_file(folder: Path, tmp_path: Path) -> None:
    model = load_diffusion_model(write_weights("wan t2v", folder))
    kept = {name: tensor for name, tensor in model.network.weights.read() if not name.startswith("blocks.1.")}  # type: ignore[attr-defined]
    save_file({name: tensor.clone() for name, tensor in kept.items()}, tmp_path / "short.safetensors")
    short = load_diffusion_model(tmp_path / "short.safetensors")
    assert wan_shape(short.network.shapes).layers == 1
    with short.network.session() as predict, torch.inference_mode():
        assert predict(torch.randn(SHAPE), torch.tensor([500.0]), inputs(short)).shape == SHAPE


def test_other_conditionings_are_refused_with_what_was_expected(folder: Path) -> None:
    model = load_diffusion_model(write_weights("wan i2v", folder))
    with pytest.raises(WrongConditioning, match=r"'wan i2v.safetensors' needs embeddings with 96 features .* 'wan'"):
        model.network.prepare_inputs(torch.zeros(1, 5, 7), {}, shape=SHAPE, device=torch.device("cpu"))
    with pytest.raises(WrongConditioning, match="are 2 latent frames long, but the latent has 3"):
        inputs(model, concat_latent_image=torch.zeros(1, 16, 2, 6, 8))
    with pytest.raises(WrongConditioning, match=r"shape \[1, 4, 6, 8\], but 16 channels and frames are needed"):
        inputs(model, concat_latent_image=torch.zeros(1, 4, 6, 8))
    with pytest.raises(WrongConditioning, match=r"with 1280 features .* has 1024"):
        inputs(model, clip_vision_output=SimpleNamespace(penultimate_hidden_states=torch.zeros(1, 257, 1024)))
    control = load_diffusion_model(write_weights("wan fun control", folder))
    with pytest.raises(WrongConditioning, match=r"takes 32 channels .* has 48"):
        inputs(control, concat_latent_image=torch.zeros(1, 48, 3, 6, 8))


def test_a_control_video_of_another_length_is_refused(folder: Path) -> None:
    model = load_diffusion_model(write_weights("wan vace", folder))
    with pytest.raises(WrongConditioning, match=r"is \[2, 6, 8\] in latent frames and pixels, but the latent is"):
        inputs(model, vace_frames=[torch.zeros(1, 32, 2, 6, 8)], vace_mask=[torch.zeros(1, 64, 2, 6, 8)])


def changed(model: DiffusionModel, lora: dict[str, torch.Tensor], path: Path) -> dict[str, torch.Tensor]:
    """The patches' effect on zero weights, by the names of the weights."""
    save_file(lora, path)
    layer = read_lora(path).network_layer(model.network)
    assert layer is not None
    shapes = model.network.shapes
    return {name: patch.apply(torch.zeros(shapes[name]), 1.0) for name, patch in layer.patches.items()}


@pytest.mark.parametrize(
    ("query", "feed"),
    [
        ("diffusion_model.blocks.0.self_attn.q", "diffusion_model.blocks.1.ffn.0"),
        ("blocks.0.self_attn.q", "blocks.1.ffn.0"),
        ("lora_unet_blocks_0_self_attn_q", "lora_unet_blocks_1_ffn_0"),
        ("lora_unet__blocks_0_self_attn_q", "lora_unet__blocks_1_ffn_0"),
        ("transformer.blocks.0.attn1.to_q", "transformer.blocks.1.ffn.net.0.proj"),
    ],
)
def test_loras_of_each_dialect_change_the_same_weights(query: str, feed: str, folder: Path, tmp_path: Path) -> None:
    model = load_diffusion_model(write_weights("wan t2v", folder))
    lora = {}
    for module, rows in ((query, 256), (feed, 512)):
        lora[f"{module}.lora_down.weight"] = torch.full((2, 256), 0.5)
        lora[f"{module}.lora_up.weight"] = torch.full((rows, 2), 2.0)
    made = changed(model, lora, tmp_path / "lora.safetensors")
    assert made.keys() == {"blocks.0.self_attn.q.weight", "blocks.1.ffn.0.weight"}
    assert all(bool((value == 2.0).all()) for value in made.values())


def test_loras_for_few_steps_change_biases_norms_and_modulation(folder: Path, tmp_path: Path) -> None:
    model = load_diffusion_model(write_weights("wan t2v", folder))
    lora = {
        "diffusion_model.blocks.0.self_attn.k.diff_b": torch.ones(256),
        "diffusion_model.blocks.0.self_attn.norm_k.diff": torch.ones(256),
        "diffusion_model.blocks.1.norm3.diff": torch.ones(256),
        "diffusion_model.blocks.1.norm3.diff_b": torch.ones(256),
        "diffusion_model.blocks.1.modulation.diff": torch.ones(1, 6, 256),
        "diffusion_model.patch_embedding.diff": torch.ones(256, 16, 1, 2, 2),
    }
    made = changed(model, lora, tmp_path / "lora.safetensors")
    assert made.keys() == {
        "blocks.0.self_attn.k.bias",
        "blocks.0.self_attn.norm_k.weight",
        "blocks.1.norm3.weight",
        "blocks.1.norm3.bias",
        "blocks.1.modulation",
        "patch_embedding.weight",
    }


def test_a_lora_for_pictures_fits_a_network_without_them(folder: Path, tmp_path: Path) -> None:
    model = load_diffusion_model(write_weights("wan t2v", folder))
    lora = {}
    for part in ("q", "k", "v", "k_img"):
        lora[f"diffusion_model.blocks.0.cross_attn.{part}.lora_A.weight"] = torch.ones(2, 256)
        lora[f"diffusion_model.blocks.0.cross_attn.{part}.lora_B.weight"] = torch.ones(256, 2)
    assert len(changed(model, lora, tmp_path / "lora.safetensors")) == 3


def test_a_cancelled_job_ends_between_two_blocks(folder: Path, tmp_path: Path) -> None:
    class CancelsAtTheSecondBlock(FolderContext):
        checks = 0

        def raise_if_cancelled(self) -> None:
            self.checks += 1
            if self.checks == 2:
                raise Cancelled

    model = load_diffusion_model(write_weights("wan vace", folder))
    with CancelsAtTheSecondBlock(tmp_path).running() as run, model.network.session() as predict:
        with pytest.raises(Cancelled), torch.inference_mode():
            predict(torch.randn(SHAPE), torch.tensor([500.0]), inputs(model))
        assert isinstance(run, CancelsAtTheSecondBlock)
        assert run.checks == 2
