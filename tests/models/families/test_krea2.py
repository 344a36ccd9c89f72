"""Krea 2: against diffusers, its text encoder, and a graph on miniature weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.nodes.context import FolderContext
from tests.nodes.graphs import Graph, run_graph, with_inputs

from safelight.models.checkpoint import load_diffusion_model, load_text_encoders
from safelight.models.families.krea2.miniature_files import NETWORK
from safelight.models.families.krea2.network import Krea2, Krea2Inputs, krea2_shape
from safelight.models.inputs import WrongConditioning
from safelight.models.miniatures.writing import random_weights, write_miniature


def network() -> tuple[Krea2, dict[str, torch.Tensor]]:
    with torch.device("meta"):
        made = Krea2(NETWORK)
    generator = torch.Generator().manual_seed(1)
    weights = random_weights(made)
    weights = {name: value + 0.1 * torch.randn(value.shape, generator=generator) for name, value in weights.items()}
    made.load_state_dict(weights, assign=True)
    return made.eval(), weights


@torch.no_grad()
def test_equals_diffusers() -> None:
    from diffusers import Krea2Transformer2DModel
    from diffusers.loaders.single_file_utils import convert_krea2_transformer_checkpoint_to_diffusers

    ours, weights = network()
    theirs = Krea2Transformer2DModel(
        num_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=512,
        text_hidden_dim=256,
        text_num_attention_heads=2,
        text_num_key_value_heads=2,
        text_intermediate_size=256,
        num_layerwise_text_blocks=1,
        num_refiner_text_blocks=1,
    ).eval()
    theirs.load_state_dict(convert_krea2_transformer_checkpoint_to_diffusers(dict(weights)))
    x, context = torch.randn(2, 16, 1, 6, 8), torch.randn(2, 9, 12 * 256)
    mask = torch.tensor([[1] * 9, [1] * 7 + [0] * 2])
    level = torch.tensor([0.3, 0.8])
    packed = x[:, :, 0].reshape(2, 16, 3, 2, 4, 2).permute(0, 2, 4, 1, 3, 5).reshape(2, 12, 64)
    rows = torch.tensor([[0.0, row, column] for row in range(3) for column in range(4)])
    expected = theirs(
        hidden_states=packed,
        encoder_hidden_states=context.unflatten(-1, (12, 256)),
        timestep=level,
        position_ids=torch.cat((torch.zeros(9, 3), rows)),
        encoder_attention_mask=mask.bool(),
    ).sample
    expected = expected.reshape(2, 3, 4, 16, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(2, 16, 6, 8)
    found = ours(x, level, Krea2Inputs(context, mask))
    assert float((found[:, :, 0] - expected).norm() / expected.norm()) < 1e-5


@torch.no_grad()
def test_frames_are_pictures_of_their_own() -> None:
    ours, _ = network()
    x, inputs, level = torch.randn(1, 16, 3, 4, 5), Krea2Inputs(torch.randn(1, 5, 3072)), torch.tensor([0.5])
    together = ours(x, level, inputs)
    apart = torch.cat([ours(frame, level, inputs) for frame in x.split(1, dim=2)], dim=2)
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-5)


def test_files_are_told_by_their_fusion_of_states(tmp_path: Path) -> None:
    with torch.device("meta"):
        module = Krea2(NETWORK)
    save_file(random_weights(module), tmp_path / "k.safetensors")
    model = load_diffusion_model(tmp_path / "k.safetensors")
    assert model.family == "krea2"
    assert krea2_shape(model.network.shapes) == NETWORK
    with pytest.raises(WrongConditioning, match=r"'k.safetensors' needs embeddings with 3072 features .* type 'krea2'"):
        model.network.prepare_inputs(
            torch.zeros(1, 3, 7), {}, shape=torch.Size((1, 16, 1, 8, 8)), device=torch.device("cpu")
        )


GRAPH: Graph = {
    "1": {
        "class_type": "UNETLoader",
        "inputs": {"unet_name": "krea2_turbo_fp8_scaled.safetensors", "weight_dtype": "default"},
    },
    "2": {"class_type": "CLIPLoader", "inputs": {"clip_name": "qwen3vl_4b_fp8_scaled.safetensors", "type": "krea2"}},
    "3": {"class_type": "VAELoader", "inputs": {"vae_name": "qwen_image_vae.safetensors"}},
    "4": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat", "clip": ["2", 0]}},
    "5": {"class_type": "ConditioningZeroOut", "inputs": {"conditioning": ["4", 0]}},
    "6": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 48, "batch_size": 1}},
    "8": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 1,
            "steps": 2,
            "cfg": 1.0,
            "sampler_name": "euler",
            "scheduler": "simple",
            "denoise": 1.0,
            "model": ["1", 0],
            "positive": ["4", 0],
            "negative": ["5", 0],
            "latent_image": ["6", 0],
        },
    },
    "9": {"class_type": "VAEDecode", "inputs": {"samples": ["8", 0], "vae": ["3", 0]}},
}
"""The calls of the official graph for text to picture, without the enhancer of prompts."""


def test_the_graph_of_the_template_makes_a_picture(tmp_path: Path) -> None:
    list(write_miniature("krea2-turbo", tmp_path / "models"))
    encoder = load_text_encoders([tmp_path / "models/text_encoders/qwen3vl_4b_fp8_scaled.safetensors"], "krea2")
    (window,) = encoder.tokenize("a cat")["qwen3vl_4b"]
    with FolderContext(tmp_path).running(), torch.inference_mode():
        made: Any = run_graph(GRAPH)
        assert made["4"][0][0][0].shape == (1, len(window) - 34, 3072)  # without 34 tokens of instructions
        assert made["9"][0].shape == (1, 48, 64, 3)
        assert torch.equal(made["9"][0], run_graph(GRAPH)["9"][0])
        assert not torch.equal(made["9"][0], run_graph(with_inputs(GRAPH, text="a dog"))["9"][0])
