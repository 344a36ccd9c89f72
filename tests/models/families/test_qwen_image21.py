"""Qwen-Image 2.1: the network and the autoencoder against diffusers, and graphs on miniature weights."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.nodes.context import FolderContext
from tests.nodes.graphs import Graph, run_graph

from safelight.models.autoencoder.qwen_image21_module import (
    QwenImage21Autoencoder,
    autoencoder_shape,
    autoencoder_weights,
)
from safelight.models.checkpoint import load_autoencoder, load_diffusion_model, load_text_encoders
from safelight.models.families.qwen_image21.network import (
    QwenImage21,
    QwenImage21Inputs,
    QwenImage21Shape,
    Span,
    qwen_image21_shape,
)
from safelight.models.families.qwen_image21.prefix_cache import CacheSettings, PrefixCache
from safelight.models.inputs import WrongConditioning
from safelight.models.lora.names import normalized
from safelight.models.miniatures.writing import random_weights, write_miniature
from safelight.models.weights import Weights
from safelight.nodes.conditioning.qwen_image21 import NotQwenImage21, QwenImage21Cache, TextEncodeQwenImage21

SHAPE = QwenImage21Shape(channels=8, out_channels=8, width=256, text_width=48, feed_forward=768, layers=3, fuses=False)


def far(made: torch.Tensor, expected: torch.Tensor) -> float:
    return float((made - expected).norm() / expected.norm())


def network(shape: QwenImage21Shape = SHAPE) -> QwenImage21:
    made = QwenImage21(shape)
    weights = random_weights(made)
    if shape.fuses:
        parts = random_weights(QwenImage21(replace(shape, fuses=False)))
        for name in weights:
            gate, up = (name.replace("gate_up", part) for part in ("gate_layer", "proj"))
            weights[name] = torch.cat((parts[gate], parts[up])) if "gate_up" in name else parts[name]
    made.load_state_dict(weights)
    return made.eval()


def random(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


REFERENCES = (random(1, 8, 4, 6, seed=1), random(1, 8, 2, 4, seed=2))
SPANS = (Span(0, 3), Span(3, 9, 0), Span(9, 11, 1), Span(11, 16))
CONTEXT = random(1, 16, 48, seed=3)
X = random(2, 8, 6, 4, seed=4)
LEVEL = torch.tensor([0.7, 0.3])


def reference_result(has_pictures: bool) -> torch.Tensor:
    from diffusers.models.transformers.transformer_qwenimage21 import QwenImage21Transformer2DModel

    theirs = QwenImage21Transformer2DModel(
        in_channels=8, out_channels=8, num_layers=3, attention_head_dim=128, num_attention_heads=2, context_in_dim=48
    )
    theirs.load_state_dict(network().state_dict())
    pictures = [(*one.shape[-2:],) for one in REFERENCES] if has_pictures else []
    mask = torch.zeros(2, 16 + 6, dtype=torch.bool)
    mask[:, 16:] = True
    if has_pictures:
        mask[:, 3:11] = True
    tokens = [one.flatten(2).transpose(1, 2).expand(2, -1, -1) for one in REFERENCES] if has_pictures else []
    output = theirs(
        hidden_states=torch.cat([*tokens, X.flatten(2).transpose(1, 2)], dim=1),
        encoder_hidden_states=CONTEXT.expand(2, -1, -1),
        timestep=LEVEL,
        img_shapes=[[(1, *size) for size in [*pictures, (6, 4)]]] * 2,
        img_mask=mask,
    ).sample
    return output[:, -24:].transpose(1, 2).reshape(2, 8, 6, 4)


def inputs(has_pictures: bool, cache: PrefixCache | None = None) -> QwenImage21Inputs:
    made = QwenImage21Inputs(CONTEXT, REFERENCES, SPANS) if has_pictures else QwenImage21Inputs(CONTEXT)
    return replace(made.for_items(2), cache=cache or PrefixCache())


@torch.no_grad()
@pytest.mark.parametrize("has_pictures", [False, True])
def test_the_network_equals_diffusers_with_and_without_what_it_keeps(has_pictures: bool) -> None:
    expected, ours = reference_result(has_pictures), network()
    cache = PrefixCache()
    for _ in range(2):
        assert far(ours(X, LEVEL, inputs(has_pictures, cache)), expected) < 1e-5
    assert len(cache.layers) == 3
    fused = network(replace(SHAPE, fuses=True))
    assert far(fused(X, LEVEL, inputs(has_pictures)), expected) < 1e-5
    assert qwen_image21_shape({name: value.shape for name, value in fused.state_dict().items()}).fuses


@torch.no_grad()
@pytest.mark.parametrize(("dtype", "low", "high"), [("default", 0.0, 1e-6), ("int8", 1e-5, 0.02), ("int4", 1e-3, 0.3)])
def test_kept_keys_are_rounded_as_a_user_chooses(dtype: Any, low: float, high: float) -> None:
    ours = network()
    expected = ours(X, LEVEL, inputs(True))
    cache = PrefixCache(CacheSettings("cpu", dtype))
    assert far(ours(X, LEVEL, inputs(True, cache)), expected) == 0.0  # the first step computes them
    assert low <= far(ours(X, LEVEL, inputs(True, cache)), expected) <= high
    off = PrefixCache(CacheSettings("off"))
    ours(X, LEVEL, inputs(True, off))
    assert not off.layers


@torch.no_grad()
def test_what_is_kept_serves_only_one_network_and_one_size_of_batch() -> None:
    first, second, cache = network(), network(), PrefixCache()
    for value in second.parameters():
        value.mul_(1.1)
    first(X, LEVEL, inputs(True, cache))
    assert far(second(X, LEVEL, inputs(True, cache)), second(X, LEVEL, inputs(True))) < 1e-6
    alone = QwenImage21Inputs(CONTEXT, REFERENCES, SPANS, cache)
    assert far(second(X[:1], LEVEL[:1], alone), second(X, LEVEL, inputs(True))[:1]) < 1e-5


@torch.no_grad()
@pytest.mark.parametrize("keeps_time", [False, True])
def test_the_autoencoder_equals_diffusers(keeps_time: bool) -> None:
    from diffusers.models.autoencoders.autoencoder_kl_qwenimage21 import AutoencoderKLQwenImage21

    theirs = AutoencoderKLQwenImage21(base_dim=8, decoder_base_dim=12, z_dim=6, num_res_blocks=1).eval()
    generator = torch.Generator().manual_seed(0)
    for name, value in theirs.named_parameters():
        value.data = torch.randn(value.shape, generator=generator) * (0.2 if value.dim() > 1 else 0.1)
        value.data += 1.0 if name.endswith("gamma") else 0.0
    state = {name: value for name, value in theirs.state_dict().items() if keeps_time or "time_conv" not in name}
    shape = autoencoder_shape({name: value.shape for name, value in state.items()})
    assert shape.downscale == 16
    ours = QwenImage21Autoencoder(shape)
    ours.load_state_dict(
        {
            name: value.reshape(-1) if name.endswith("gamma") else value
            for name, value in state.items()
            if "time_conv" not in name
        }
    )
    picture = torch.rand(1, 4, 64, 96, generator=generator) * 2 - 1
    posterior = theirs.encode(picture[:, :, None]).latent_dist
    mean, _ = ours.moments(picture)
    assert far(mean, posterior.mean[:, :, 0]) < 1e-5
    decoded = theirs.decode(posterior.mean).sample[:, :, 0]
    assert far(ours.decode(mean).clamp(-1, 1), decoded) < 1e-5


def encode(**changes: Any) -> dict[str, Any]:
    return {"clip": ["clip", 0], "prompt": "a red horse", "negative_prompt": "", "resolution": 256, **changes}


PICTURES: Graph = {
    "model": {
        "class_type": "UNETLoader",
        "inputs": {"unet_name": "qwen_image_2.1_int8_convrot.safetensors", "weight_dtype": "default"},
    },
    "cached": {
        "class_type": "QwenImage21Cache",
        "inputs": {"model": ["model", 0], "device": "auto", "dtype": "default"},
    },
    "clip": {
        "class_type": "CLIPLoader",
        "inputs": {"clip_name": "qwen3vl_8b_int8_convrot.safetensors", "type": "qwen_image"},
    },
    "vae": {"class_type": "VAELoader", "inputs": {"vae_name": "qwen_image_2.1_vae_bf16.safetensors"}},
    "empty": {"class_type": "EmptyLatentImage", "inputs": {"width": 96, "height": 64, "batch_size": 1}},
    "prompt": {"class_type": "TextEncodeQwenImage21", "inputs": encode()},
    "sampled": {
        "class_type": "KSampler",
        "inputs": {
            "model": ["cached", 0],
            "seed": 3,
            "steps": 2,
            "cfg": 2.0,
            "sampler_name": "euler",
            "scheduler": "simple",
            "denoise": 1.0,
            "positive": ["prompt", 0],
            "negative": ["prompt", 1],
            "latent_image": ["empty", 0],
        },
    },
    "picture": {"class_type": "VAEDecode", "inputs": {"samples": ["sampled", 0], "vae": ["vae", 0]}},
}
BLUE: Graph = {
    "blue": {"class_type": "EmptyImage", "inputs": {"width": 128, "height": 64, "batch_size": 1, "color": 255}}
}
RED: Graph = {
    "red": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0xFF0000}}
}


def picture_of(root: Path, graph: Graph) -> torch.Tensor:
    with FolderContext(root).running():
        (picture,) = run_graph(graph)["picture"]
    assert isinstance(picture, torch.Tensor)
    assert picture.isfinite().all()
    return picture


def edited(**images: list[Any]) -> Graph:
    given = encode(vae=["vae", 0], resolution=96, **{f"images.{name}": link for name, link in images.items()})
    prompt = {"class_type": "TextEncodeQwenImage21", "inputs": given}
    sampled = {**PICTURES["sampled"], "inputs": {**PICTURES["sampled"]["inputs"], "latent_image": ["prompt", 2]}}
    return {**PICTURES, **BLUE, **RED, "prompt": prompt, "sampled": sampled}


def test_graphs_from_text_and_for_edits_make_pictures_with_transparency(tmp_path: Path) -> None:
    list(write_miniature("qwen-image-2.1", tmp_path / "models"))
    made = picture_of(tmp_path, PICTURES)
    assert made.shape == (1, 64, 96, 4)
    assert torch.equal(picture_of(tmp_path, PICTURES), made)
    one = picture_of(tmp_path, edited(image_1=["blue", 0]))
    assert one.shape == (1, 64, 128, 4)
    two = picture_of(tmp_path, edited(image_1=["blue", 0], image_2=["red", 0]))
    swapped = picture_of(tmp_path, edited(image_1=["blue", 0], image_2=["blue", 0]))
    assert two.shape == one.shape
    assert far(two, one) > 1e-4
    assert far(two, swapped) > 1e-4


def test_pictures_take_the_places_of_their_tokens(tmp_path: Path) -> None:
    list(write_miniature("qwen-image-2.1", tmp_path))
    encoder = load_text_encoders([tmp_path / "text_encoders" / "qwen3vl_8b_int8_convrot.safetensors"], "qwen_image")
    vae = load_autoencoder(tmp_path / "vae" / "qwen_image_2.1_vae_bf16.safetensors")
    images = {"image_1": torch.rand(1, 300, 420, 3), "image_2": torch.rand(1, 64, 64, 4)}
    positive, negative, latent = TextEncodeQwenImage21.execute(encoder, "a cat", "", 256, images, vae).values
    for ((context, options),) in (positive, negative):
        (first, rows), (second, columns) = options["picture_spans"]
        assert [tuple(one.shape) for one in options["reference_latents"]] == [(1, 64, 14, 18), (1, 64, 16, 16)]
        assert (rows, columns) == (8 * 10, 8 * 8)  # the encoder enlarges the first
        assert second > first + rows
        assert context.shape[1] > second + columns
    assert latent["samples"].shape == (1, 64, 14, 18)
    model = load_diffusion_model(tmp_path / "diffusion_models" / "qwen_image_2.1_int8_convrot.safetensors")
    ((context, options),) = positive
    more = {"shape": latent["samples"].shape, "device": torch.device("cpu")}
    made = model.network.prepare_inputs(context, options, **more)
    assert isinstance(made, QwenImage21Inputs)
    assert [span.reference for span in made.spans] == [None, 0, None, 1, None]
    (((context, options),), _, latent) = TextEncodeQwenImage21.execute(encoder, "", "", 0).values
    assert latent["samples"].shape == (1, 64, 64, 64)
    assert "reference_latents" not in options
    with pytest.raises(WrongConditioning, match=r"needs embeddings with 256 features .* type 'qwen_image'"):
        model.network.prepare_inputs(torch.zeros(1, 4, 20), {}, **more)
    with pytest.raises(WrongConditioning, match=r"needs reference latents with 64 channels, not 16"):
        model.network.prepare_inputs(context, {"reference_latents": [torch.ones(1, 16, 4, 4)]}, **more)


def test_the_cache_is_chosen_for_this_family_alone(tmp_path: Path) -> None:
    for name in ("qwen-image-2.1", "z-image-turbo"):
        list(write_miniature(name, tmp_path))
    folder = tmp_path / "diffusion_models"
    model = load_diffusion_model(folder / "qwen_image_2.1_int8_convrot.safetensors")
    (changed,) = QwenImage21Cache.execute(model, "cpu", "int4").values
    made = changed.network.prepare_inputs(torch.zeros(1, 4, 256), {}, shape=(1, 64, 4, 4), device=torch.device("cpu"))
    assert made.cache.settings == CacheSettings("cpu", "int4")
    with pytest.raises(NotQwenImage21, match=r"works only with Qwen-Image 2.1, but the model is 'z_image'"):
        QwenImage21Cache.execute(load_diffusion_model(folder / "z_image_turbo_bf16.safetensors"), "auto", "default")
    assert normalized("transformer_blocks.0.attn.to_out.0") in model.network.lora_names


def test_names_and_sizes_of_the_published_network_are_known() -> None:
    assert math.isclose(QwenImage21Shape(64, 64, 4096, 4096, 12288, 32, False).heads, 32)
    assert not autoencoder_weights(Weights({})).sources
