"""Flux 1: detection, what its conditioning options mean, its text encoders, and its names in LoRA files."""

from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.against_comfyui.families import ARCHITECTURES, write_weights
from safetensors.torch import load_file, save_file

from safelight.models.checkpoint import load_checkpoint, load_diffusion_model
from safelight.models.families.flux.family import FLUX_LATENT, FLUX_TEXT
from safelight.models.families.flux.flux_module import FluxArchitecture, FluxInputs
from safelight.models.inputs import WrongConditioning
from safelight.models.lora.file import read_lora
from safelight.models.stored_network import StoredNetwork
from safelight.models.text.recipe import Encoding

SHAPE = torch.Size((2, 16, 8, 6))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("flux")


def network_of(family: str, folder: Path) -> StoredNetwork:
    network = load_diffusion_model(write_weights(family, folder)).network
    assert isinstance(network, StoredNetwork)
    return network


def prepared(network: StoredNetwork, options: dict[str, Any], *, width: int = 4096) -> FluxInputs:
    made = network.prepare_inputs(torch.zeros(1, 3, width), options, shape=SHAPE, device=torch.device("cpu"))
    assert isinstance(made, FluxInputs)
    return made


@pytest.mark.parametrize(
    ("family", "name"), [("flux", "flux"), ("flux schnell", "flux_schnell"), ("flux fill", "flux")]
)
def test_depth_and_width_are_read_from_the_file(family: str, name: str, folder: Path) -> None:
    model = load_diffusion_model(write_weights(family, folder))
    assert model.family == name
    assert isinstance(model.network, StoredNetwork)
    assert model.network.architecture == ARCHITECTURES[family]
    assert model.latent_format is FLUX_LATENT


def test_options_become_inputs(folder: Path) -> None:
    network = network_of("flux", folder)
    plain = prepared(network, {})
    assert plain.guidance is not None
    assert plain.guidance.tolist() == [3.5]
    assert (plain.pooled, plain.concat, plain.references) == (None, None, ())
    reference = torch.ones(1, 16, 4, 4)
    options = {"guidance": None, "reference_latents": [reference], "reference_latents_method": "index"}
    told = prepared(network, options)
    assert (told.guidance, told.reference_method) == (None, "index")
    assert torch.equal(told.references[0], FLUX_LATENT.to_network(reference))


def test_fill_sees_the_picture_and_the_mask(folder: Path) -> None:
    network = network_of("flux fill", folder)
    mask = torch.zeros(1, 1, 64, 48)
    mask[..., :8, :8] = torch.arange(64.0).reshape(8, 8)
    concat = prepared(network, {"concat_latent_image": torch.ones(1, 16, 8, 6), "concat_mask": mask}).concat
    assert concat is not None
    assert concat.shape == (2, 80, 8, 6)
    assert torch.equal(concat[:, :16], FLUX_LATENT.to_network(torch.ones(2, 16, 8, 6)))
    assert concat[0, 16:, 0, 0].tolist() == list(range(64))
    without = prepared(network, {}).concat
    assert without is not None
    assert torch.equal(without[:, 16:], torch.ones(2, 64, 8, 6))


def test_embeddings_of_another_text_encoder_are_an_error(folder: Path) -> None:
    with pytest.raises(WrongConditioning, match=r"'flux.safetensors' needs embeddings with 4096 .* has 768; load"):
        prepared(network_of("flux", folder), {}, width=768)


def test_the_prompt_is_t5s_and_the_pooled_output_clips() -> None:
    clip = Encoding(torch.zeros(1, 77, 768), pooled=torch.ones(1, 768))
    told = FLUX_TEXT.join({"l": clip, "t5xxl": Encoding(torch.full((1, 256, 4096), 2.0))})
    assert told.hidden.shape == (1, 256, 4096)
    assert told.pooled is clip.pooled


def test_a_checkpoint_contains_network_and_text_encoders_below_their_prefixes(folder: Path, tmp_path: Path) -> None:
    state = load_file(write_weights("flux", folder))
    prefixed = {f"model.diffusion_model.{name}": tensor for name, tensor in state.items()}
    save_file(prefixed, tmp_path / "checkpoint.safetensors")
    loaded = load_checkpoint(tmp_path / "checkpoint.safetensors")
    assert loaded.model.family == "flux"
    assert loaded.text is None
    assert loaded.autoencoder is None


def lora(parts: dict[str, tuple[int, int]]) -> dict[str, torch.Tensor]:
    """A LoRA of rank 2 of these sizes (out, in), with ones times ones."""
    made = {}
    for name, (out, inside) in parts.items():
        down, up = ("lora_down", "lora_up") if name.startswith("lora_") else ("lora_A", "lora_B")
        made[f"{name}.{down}.weight"] = torch.ones(2, inside)
        made[f"{name}.{up}.weight"] = torch.ones(out, 2)
    return made


@pytest.mark.parametrize(
    ("names", "weight", "rows"),
    [
        ({"lora_unet_double_blocks_1_img_attn_qkv": (768, 256)}, "double_blocks.1.img_attn.qkv.weight", (0, 768)),
        ({"diffusion_model.double_blocks.0.txt_mlp.0": (1024, 256)}, "double_blocks.0.txt_mlp.0.weight", (0, 1024)),
        (
            {"transformer.transformer_blocks.0.attn.to_k": (256, 256)},
            "double_blocks.0.img_attn.qkv.weight",
            (256, 512),
        ),
        (
            {"transformer.transformer_blocks.1.attn.add_v_proj": (256, 256)},
            "double_blocks.1.txt_attn.qkv.weight",
            (512, 768),
        ),
        (
            {"transformer.single_transformer_blocks.1.proj_mlp": (1024, 256)},
            "single_blocks.1.linear1.weight",
            (768, 1792),
        ),
        ({"transformer.x_embedder": (256, 64)}, "img_in.weight", (0, 256)),
        (
            {"lora_transformer_single_transformer_blocks_0_attn_to_q": (256, 256)},
            "single_blocks.0.linear1.weight",
            (0, 256),
        ),
    ],
)
def test_loras_of_every_dialect_change_their_rows(
    names: dict[str, tuple[int, int]], weight: str, rows: tuple[int, int], folder: Path, tmp_path: Path
) -> None:
    network = network_of("flux", folder)
    save_file(lora(names), tmp_path / "lora.safetensors")
    layer = read_lora(tmp_path / "lora.safetensors").network_layer(network)
    assert layer is not None
    (patched,) = layer.patches
    assert patched == weight
    changed = layer.patches[weight].apply(torch.zeros(network.shapes[weight]), 0.5)
    expected = torch.zeros(network.shapes[weight])
    expected[slice(*rows)] = 1.0
    assert torch.equal(changed, expected)


def test_separate_parts_of_a_fused_weight_are_all_applied(folder: Path, tmp_path: Path) -> None:
    network = network_of("flux", folder)
    names = {f"transformer.transformer_blocks.0.attn.to_{part}": (256, 256) for part in "qkv"}
    save_file(lora(names), tmp_path / "lora.safetensors")
    layer = read_lora(tmp_path / "lora.safetensors").network_layer(network)
    assert layer is not None
    changed = layer.patches["double_blocks.0.img_attn.qkv.weight"].apply(torch.zeros(768, 256), 1.0)
    assert torch.equal(changed, torch.full((768, 256), 2.0))


def test_the_architecture_is_a_value() -> None:
    one = ARCHITECTURES["flux"]
    assert isinstance(one, FluxArchitecture)
    assert one == FluxArchitecture(one.shape)
