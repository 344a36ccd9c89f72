"""Whole graphs on miniature weights: quantised networks, checkpoints, and pictures as references."""

from pathlib import Path

import pytest
import torch
from tests.nodes.context import FolderContext
from tests.nodes.graphs import Graph, run_graph

from safelight.models.miniatures.writing import write_miniature


def sampled(positive: str, model: tuple[str, int], vae: tuple[str, int]) -> Graph:
    """The end of a graph: 2 steps from noise, and the picture as ``picture``."""
    return {
        "noise": {"class_type": "RandomNoise", "inputs": {"noise_seed": 3}},
        "sampler": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
        "guider": {"class_type": "BasicGuider", "inputs": {"model": [*model], "conditioning": [positive, 0]}},
        "sampled": {
            "class_type": "SamplerCustomAdvanced",
            "inputs": {
                "noise": ["noise", 0],
                "guider": ["guider", 0],
                "sampler": ["sampler", 0],
                "sigmas": ["sigmas", 0],
                "latent_image": ["empty", 0],
            },
        },
        "picture": {"class_type": "VAEDecode", "inputs": {"samples": ["sampled", 0], "vae": [*vae]}},
    }


FLUX2: Graph = {
    "model": {
        "class_type": "UNETLoader",
        "inputs": {"unet_name": "flux2_dev_fp8mixed.safetensors", "weight_dtype": "default"},
    },
    "turbo": {
        "class_type": "LoraLoaderModelOnly",
        "inputs": {"model": ["model", 0], "lora_name": "Flux2TurboComfyv2.safetensors", "strength_model": 1.0},
    },
    "clip": {
        "class_type": "CLIPLoader",
        "inputs": {"clip_name": "mistral_3_small_flux2_fp8.safetensors", "type": "flux2"},
    },
    "vae": {"class_type": "VAELoader", "inputs": {"vae_name": "full_encoder_small_decoder.safetensors"}},
    "prompt": {"class_type": "CLIPTextEncode", "inputs": {"text": "a red horse", "clip": ["clip", 0]}},
    "gray": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 48, "batch_size": 1, "color": 8421504}},
    "encoded": {"class_type": "VAEEncode", "inputs": {"pixels": ["gray", 0], "vae": ["vae", 0]}},
    "reference": {
        "class_type": "ReferenceLatent",
        "inputs": {"conditioning": ["prompt", 0], "latent": ["encoded", 0]},
    },
    "sigmas": {"class_type": "Flux2Scheduler", "inputs": {"steps": 2, "width": 64, "height": 48}},
    "empty": {"class_type": "EmptyFlux2LatentImage", "inputs": {"width": 64, "height": 48, "batch_size": 1}},
    **sampled("reference", ("turbo", 0), ("vae", 0)),
}

CHECKPOINT: Graph = {
    "loaded": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "NAME"}},
    "prompt": {"class_type": "CLIPTextEncode", "inputs": {"text": "a (red:1.2) horse", "clip": ["loaded", 1]}},
    "sigmas": {
        "class_type": "BasicScheduler",
        "inputs": {"model": ["loaded", 0], "scheduler": "simple", "steps": 2, "denoise": 1.0},
    },
    "empty": {"class_type": "EmptySD3LatentImage", "inputs": {"width": 64, "height": 48, "batch_size": 1}},
    **sampled("prompt", ("loaded", 0), ("loaded", 2)),
}


def picture_of(graph: Graph, root: Path) -> torch.Tensor:
    with FolderContext(root).running():
        (picture,) = run_graph(graph)["picture"]
    assert isinstance(picture, torch.Tensor)
    return picture


@pytest.mark.slow
def test_flux2_in_eight_bits_with_a_lora_and_a_reference(tmp_path: Path) -> None:
    list(write_miniature("flux2-dev", tmp_path / "models"))
    picture = picture_of(FLUX2, tmp_path)
    assert picture.shape == (1, 48, 64, 3)
    assert picture.isfinite().all()
    plain = {**FLUX2, **sampled("prompt", ("turbo", 0), ("vae", 0))}
    assert not torch.equal(picture_of(plain, tmp_path), picture)
    without_lora = {**FLUX2, **sampled("reference", ("model", 0), ("vae", 0))}
    assert not torch.equal(picture_of(without_lora, tmp_path), picture)
    assert torch.equal(picture_of(FLUX2, tmp_path), picture)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("miniature", "name"),
    [
        ("flux-checkpoints", "flux1-schnell-fp8.safetensors"),
        ("sd3.5-medium", "sd3.5_medium.safetensors"),
        ("sd1", "v1-5-pruned-emaonly-fp16.safetensors"),
        ("sdxl", "sd_xl_base_1.0.safetensors"),
    ],
)
def test_checkpoints_contain_all_that_a_picture_needs(miniature: str, name: str, tmp_path: Path) -> None:
    list(write_miniature(miniature, tmp_path / "models"))
    graph = {**CHECKPOINT, "loaded": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": name}}}
    picture = picture_of(graph, tmp_path)
    assert picture.shape == (1, 48, 64, 3)
    assert picture.isfinite().all()
    assert torch.equal(picture_of(graph, tmp_path), picture)
