"""Flux 2 and Chroma: detection, and what their conditioning options mean."""

from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.against_comfyui.families import ARCHITECTURES, write_weights

from safelight.models.checkpoint import load_diffusion_model
from safelight.models.families.chroma.chroma_module import ChromaInputs
from safelight.models.families.flux2.family import FLUX2_LATENT
from safelight.models.families.flux2.flux2_module import Flux2Inputs
from safelight.models.families.registry import text_recipe
from safelight.models.inputs import WrongConditioning
from safelight.models.stored_network import StoredNetwork
from safelight.nodes.sampling.sample import rough_preview


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


def network_of(family: str, folder: Path) -> StoredNetwork:
    model = load_diffusion_model(write_weights(family, folder))
    assert model.family == family
    assert isinstance(model.network, StoredNetwork)
    assert model.network.architecture == ARCHITECTURES[family]
    return model.network


def prepared(network: StoredNetwork, options: dict[str, Any], *, length: int, width: int) -> Any:
    shape, cpu = torch.Size((1, 128, 4, 4)), torch.device("cpu")
    return network.prepare_inputs(torch.ones(1, length, width), options, shape=shape, device=cpu)


def test_short_prompts_of_flux2_follow_empty_tokens(folder: Path) -> None:
    network = network_of("flux2", folder)
    made = prepared(network, {"guidance": 2.0}, length=5, width=192)
    assert isinstance(made, Flux2Inputs)
    assert made.context.shape == (1, 512, 192)
    assert not made.context[:, :507].any()
    assert made.context[:, 507:].all()
    assert prepared(network, {}, length=600, width=192).context.shape == (1, 600, 192)
    with pytest.raises(WrongConditioning, match=r"'flux2.safetensors' needs embeddings with 192 .* has 4096"):
        prepared(network, {}, length=5, width=4096)


def test_chroma_has_no_guidance_unless_a_node_sets_it(folder: Path) -> None:
    network = network_of("chroma", folder)
    made = prepared(network, {}, length=5, width=4096)
    assert isinstance(made, ChromaInputs)
    assert made.guidance.tolist() == [0.0]
    assert prepared(network, {"guidance": 2.0}, length=5, width=4096).guidance.tolist() == [2.0]


@pytest.mark.parametrize(
    ("type", "kinds", "title"),
    [
        ("flux2", {"mistral3"}, "Flux 2 dev"),
        ("flux2", {"qwen3"}, "Flux 2 klein"),
        ("flux", {"clip_l", "t5xxl"}, "Flux"),
        ("chroma", {"t5xxl"}, "Chroma"),
        ("flux", {"clip_l"}, None),
        ("flux2", {"clip_l"}, None),
    ],
)
def test_text_encoders_are_chosen_by_type_and_kind(type: str, kinds: set[str], title: str | None) -> None:
    found = text_recipe(type, frozenset(kinds))
    assert (found and found.title) == title


def test_the_preview_of_flux2_has_four_pixels_for_each_of_the_latent() -> None:
    latent = torch.zeros(1, 128, 4, 6)
    latent[0, 12 + 2] = 3.0  # channel 3 of the autoencoder, the lower left pixel of each square
    picture = rough_preview(latent, FLUX2_LATENT)
    assert picture is not None
    assert picture.size == (12, 8)
    assert picture.getpixel((0, 1)) != picture.getpixel((0, 0)) == picture.getpixel((1, 1))
