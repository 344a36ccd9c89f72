"""Qwen-Image: detection, prompts with pictures, reference pictures, and graphs on miniature weights."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.nodes.context import FolderContext
from tests.nodes.graphs import Graph, run_graph, with_inputs

from safelight.models.checkpoint import load_diffusion_model, load_text_encoders
from safelight.models.families.qwen_image.miniature_files import EDIT_2511, LAYERED, NETWORK
from safelight.models.families.qwen_image.network import QwenImage, QwenImageShape, qwen_image_shape
from safelight.models.families.qwen_image.text import EDIT_TEMPLATE, PICTURE, instructions
from safelight.models.inputs import WrongConditioning
from safelight.models.language.picture_recipe import CannotSee, Picture, picture_positions
from safelight.models.lora.file import read_lora
from safelight.models.miniatures.writing import random_weights, write_miniature
from safelight.models.text.encoder import TextEncoder
from safelight.models.weights import weight_file
from safelight.nodes.conditioning.prompts import (
    CLIPTextEncodeLumina2,
    T5TokenizerOptions,
    TextEncodeQwenImageEdit,
    TextEncodeQwenImageEditPlus,
    scaled,
)

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in ("qwen-image", "qwen-image-edit-2511", "qwen-image-layered"):
        list(write_miniature(name, folder))
    return folder


@pytest.fixture
def context(models: Path, tmp_path: Path) -> Iterator[FolderContext]:
    (tmp_path / "models").symlink_to(models)
    with FolderContext(tmp_path).running() as running, torch.inference_mode():
        yield running


@pytest.fixture
def encoder(models: Path) -> TextEncoder:
    return load_text_encoders([models / "text_encoders" / "qwen_2.5_vl_7b_fp8_scaled.safetensors"], "qwen_image")


@pytest.mark.parametrize(
    ("shape", "method"), [(NETWORK, "index"), (EDIT_2511, "index_timestep_zero"), (LAYERED, "negative_index")]
)
def test_members_are_told_by_their_marks(tmp_path: Path, shape: QwenImageShape, method: str) -> None:
    with torch.device("meta"):
        module = QwenImage(shape)
    save_file(random_weights(module), tmp_path / "q.safetensors")
    model = load_diffusion_model(tmp_path / "q.safetensors")
    assert qwen_image_shape(model.network.shapes) == shape
    inputs: Any = model.network.prepare_inputs(
        torch.zeros(1, 3, 256), {}, shape=torch.Size((1, 16, 1, 8, 8)), device=CPU
    )
    assert inputs.method == method
    with pytest.raises(WrongConditioning, match=r"'q.safetensors' needs embeddings with 256 features"):
        model.network.prepare_inputs(torch.zeros(1, 3, 7), {}, shape=torch.Size((1, 16, 1, 8, 8)), device=CPU)


@torch.no_grad()
def test_references_with_the_timestep_zero_do_not_change_with_the_noise_level() -> None:
    with torch.device("meta"):
        module = QwenImage(EDIT_2511)
    module.load_state_dict(random_weights(module), assign=True)
    block: Any = module.transformer_blocks[0]
    seen: list[torch.Tensor] = []
    block.attn.register_forward_pre_hook(lambda layer, arguments: seen.append(arguments[1]))
    from safelight.models.families.qwen_image.network import QwenImageInputs

    x, reference = torch.randn(1, 16, 1, 4, 6), torch.randn(1, 16, 1, 6, 4)
    for level in (0.2, 0.9):
        for method in ("index_timestep_zero", "index"):
            module(x, torch.tensor([level]), QwenImageInputs(torch.ones(1, 3, 256), (reference,), method))
    assert torch.equal(seen[0][:, 6:], seen[2][:, 6:])
    assert not torch.allclose(seen[0][:, :6], seen[2][:, :6])
    assert not torch.allclose(seen[1][:, 6:], seen[3][:, 6:])


def test_instructions_are_read_but_do_not_condition(encoder: TextEncoder) -> None:
    (window,) = encoder.tokenize("a (cat:1.2)")["qwen25_7b"]
    tokens = [token for token, _ in window]
    start = instructions(tokens)
    assert tokens[start - 3 : start] == [151644, 872, 198]
    ((hidden, options),) = encoder.encode_from_tokens_scheduled({"qwen25_7b": [window]})
    assert hidden.shape == (1, len(tokens) - start, 256)
    assert "attention_mask" not in options
    assert instructions([151644, 5, 6, 151644]) == 3
    assert instructions([1, 2]) == 0


def test_pictures_stand_in_the_prompt(encoder: TextEncoder) -> None:
    image = torch.rand(1, 84, 56, 3)
    (window,) = encoder.tokenize(f"{PICTURE}and {PICTURE}", images=[image, image], llama_template=EDIT_TEMPLATE)[
        "qwen25_7b"
    ]
    assert sum(isinstance(token, Picture) for token, _ in window) == 2
    with torch.inference_mode():
        ((hidden, _),) = encoder.encode_from_tokens_scheduled({"qwen25_7b": [window]})
        ((one, _),) = encoder.encode_from_tokens_scheduled(encoder.tokenize("x", images=[image]))
        ((other, _),) = encoder.encode_from_tokens_scheduled(encoder.tokenize("x", images=[1 - image]))
    plain = len(window) - 2 - instructions([token for token, _ in window])
    assert hidden.shape[1] == plain + 2 * 6  # three rows and two columns of groups
    assert not torch.allclose(one, other)


def test_positions_of_pictures_have_three_axes() -> None:
    found = picture_positions(12, [(2, 2, 3)])
    assert found[0].tolist() == [0, 1, 2, 2, 2, 2, 2, 2, 5, 6, 7, 8]
    assert found[1].tolist() == [0, 1, 2, 2, 2, 3, 3, 3, 5, 6, 7, 8]
    assert found[2].tolist() == [0, 1, 2, 3, 4, 2, 3, 4, 5, 6, 7, 8]
    twice = picture_positions(12, [(1, 2, 2), (6, 1, 4)])
    assert twice[0].tolist() == [0, 1, 1, 1, 1, 3, 4, 4, 4, 4, 8, 9]


def test_an_encoder_without_eyes_says_so(models: Path, tmp_path: Path) -> None:
    file = weight_file(models / "text_encoders" / "qwen_2.5_vl_7b_fp8_scaled.safetensors")
    blind = {name: value for name, value in file.weights().read() if not name.startswith("visual.")}
    save_file(blind, tmp_path / "blind.safetensors")
    encoder = load_text_encoders([tmp_path / "blind.safetensors"], "qwen_image")
    with pytest.raises(CannotSee, match="no image encoder"):
        encoder.encode(encoder.tokenize("x", images=[torch.rand(1, 56, 56, 3)]))


def test_pictures_are_scaled_to_a_number_of_pixels() -> None:
    image = torch.rand(1, 120, 200, 3)
    assert scaled(image, 384 * 384).shape == (1, 297, 496, 3)
    assert scaled(image, 1024 * 1024, multiple=8).shape == (1, 792, 1320, 3)


class TinyAutoencoder:
    """Notes what it encodes."""

    def __init__(self) -> None:
        self.seen: list[torch.Size] = []

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        self.seen.append(image.shape)
        return torch.zeros(1, 16, 1, 4, 4)


def test_nodes_condition_on_pictures_and_their_latents(encoder: TextEncoder) -> None:
    image, vae = torch.rand(1, 60, 60, 4), TinyAutoencoder()
    with torch.inference_mode():
        (plus,) = TextEncodeQwenImageEditPlus.execute(encoder, "red", vae=vae, image1=image, image3=image).values  # type: ignore[arg-type]
        (alone,) = TextEncodeQwenImageEditPlus.execute(encoder, "red", image1=image).values
        (text,) = TextEncodeQwenImageEdit.execute(encoder, "red").values
    assert vae.seen == [(1, 1024, 1024, 3)] * 2
    assert len(plus[0][1]["reference_latents"]) == 2
    assert "reference_latents" not in alone[0][1]
    assert plus[0][0].shape[1] > alone[0][0].shape[1] > text[0][0].shape[1]


def test_lumina_prompts_begin_with_an_instruction_and_tokenizers_take_lengths(encoder: TextEncoder) -> None:
    with torch.inference_mode():
        (made,) = CLIPTextEncodeLumina2.execute("superior", "a cat", encoder).values
        ((plain, _),) = encoder.encode_from_tokens_scheduled(encoder.tokenize("a cat"))
    assert made[0][0].shape[1] > plain.shape[1] + 20
    (longer,) = T5TokenizerOptions.execute(encoder, min_padding=3, min_length=40).values
    assert dict(longer.tokenizer_options)["umt5xxl_min_length"] == 40


def test_loras_with_diffusers_names_fit(models: Path, tmp_path: Path) -> None:
    model = load_diffusion_model(models / "diffusion_models" / "qwen_image_fp8_e4m3fn.safetensors")
    names = {
        "diffusion_model.transformer_blocks.0.attn.to_q": "lora_A.weight lora_B.weight",
        "transformer.transformer_blocks.1.attn.to_out.0": "lora_A.weight lora_B.weight",
        "transformer_blocks.1.img_mlp.net.2": "lora_down.weight lora_up.weight",
        "lora_unet_transformer_blocks_0_attn_add_k_proj": "lora_down.weight lora_up.weight",
    }
    tensors = {}
    for module, kinds in names.items():
        down, up = kinds.split()
        width = 512 if "net.2" in module else 256
        tensors |= {f"{module}.{down}": torch.randn(2, width), f"{module}.{up}": torch.randn(256, 2)}
    save_file(tensors, tmp_path / "l.safetensors")
    layer = read_lora(tmp_path / "l.safetensors").network_layer(model.network)
    assert layer is not None
    assert set(layer.patches) == {
        "transformer_blocks.0.attn.to_q.weight",
        "transformer_blocks.1.attn.to_out.0.weight",
        "transformer_blocks.1.img_mlp.net.2.weight",
        "transformer_blocks.0.attn.add_k_proj.weight",
    }


GRAPH: Graph = {
    "1": {
        "class_type": "UNETLoader",
        "inputs": {"unet_name": "qwen_image_fp8_e4m3fn.safetensors", "weight_dtype": "default"},
    },
    "2": {
        "class_type": "CLIPLoader",
        "inputs": {"clip_name": "qwen_2.5_vl_7b_fp8_scaled.safetensors", "type": "qwen_image"},
    },
    "3": {"class_type": "VAELoader", "inputs": {"vae_name": "qwen_image_vae.safetensors"}},
    "4": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat", "clip": ["2", 0]}},
    "5": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["2", 0]}},
    "6": {"class_type": "EmptySD3LatentImage", "inputs": {"width": 64, "height": 48, "batch_size": 1}},
    "7": {"class_type": "ModelSamplingAuraFlow", "inputs": {"shift": 3.1, "model": ["1", 0]}},
    "8": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 1,
            "steps": 2,
            "cfg": 2.5,
            "sampler_name": "euler",
            "scheduler": "simple",
            "denoise": 1.0,
            "model": ["7", 0],
            "positive": ["4", 0],
            "negative": ["5", 0],
            "latent_image": ["6", 0],
        },
    },
    "9": {"class_type": "VAEDecode", "inputs": {"samples": ["8", 0], "vae": ["3", 0]}},
}


def test_a_graph_makes_the_same_picture_again(context: FolderContext) -> None:
    first = run_graph(GRAPH)["9"][0]
    assert first.shape == (1, 48, 64, 3)
    assert torch.equal(first, run_graph(GRAPH)["9"][0])
    assert len(context.previews) > 0 or len(context.steps) == 4


def test_layers_are_frames_of_the_latent(context: FolderContext) -> None:
    graph = with_inputs(
        GRAPH, unet_name="qwen_image_layered_bf16.safetensors", vae_name="qwen_image_layered_vae.safetensors"
    )
    graph["6"] = {
        "class_type": "EmptyQwenImageLayeredLatentImage",
        "inputs": {"width": 64, "height": 48, "layers": 2, "batch_size": 1},
    }
    graph["10"] = {"class_type": "LatentCutToBatch", "inputs": {"samples": ["8", 0], "dim": "t", "slice_size": 1}}
    graph["9"]["inputs"]["samples"] = ["10", 0]
    made = run_graph(graph)
    assert made["8"][0]["samples"].shape == (1, 16, 3, 6, 8)
    assert made["9"][0].shape == (3, 48, 64, 4)
