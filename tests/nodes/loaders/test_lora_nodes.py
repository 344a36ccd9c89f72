"""LoRA nodes: which weight layers they add to which network."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.nodes.context import FolderContext

from safelight.models.diffusion_model import DiffusionModel
from safelight.models.latent_format import LatentFormat
from safelight.models.lora.file import LoraMismatch
from safelight.models.lora.names import unet_names
from safelight.models.weight_layers import WeightLayer, WeightPart
from safelight.nodes.loaders.lora import LoraLoader, LoraLoaderModelOnly

UNET = "input_blocks.1.1.transformer_blocks.0.attn1.to_q"
TEXT = "text_model.encoder.layers.0.self_attn.q_proj"


@dataclass(frozen=True)
class Named:
    """Weights by name and shape, under layers: what a LoRA asks of a network or a text encoder."""

    shapes: dict[str, torch.Size]
    layers: tuple[WeightLayer, ...] = ()

    @property
    def lora_names(self) -> Mapping[str, WeightPart]:
        return unet_names(self.shapes)

    def with_layers(self, *layers: WeightLayer) -> "Named":
        return replace(self, layers=(*self.layers, *layers))


MODEL = DiffusionModel(Named({f"{UNET}.weight": torch.Size((4, 4))}), None, LatentFormat())  # type: ignore[arg-type]
CLIP = Named({f"{TEXT}.weight": torch.Size((4, 4))})


@pytest.fixture
def run(tmp_path: Path) -> Any:
    context = FolderContext(tmp_path)
    folder = tmp_path / "models" / "loras"
    folder.mkdir(parents=True)
    with context.running():
        for name, modules in {
            "both": (f"lora_unet_{UNET}", f"lora_te_{TEXT}"),
            "unet": (f"lora_unet_{UNET}",),
            "other": ("lora_unet_double_blocks_0_img_attn_qkv",),
        }.items():
            ones = {f"{module.replace('.', '_')}.diff": torch.ones(4, 4) for module in modules}
            save_file(ones, folder / f"{name}.safetensors")
        yield context


def applied(layers: tuple[WeightLayer, ...], name: str) -> float:
    weight = torch.zeros(4, 4)
    for layer in layers:
        weight = layer.patches[name].apply(weight, layer.strength)
    return float(weight[0, 0])


@pytest.mark.usefixtures("run")
def test_model_and_text_encoder_have_strengths_of_their_own() -> None:
    model, clip = LoraLoader.execute(MODEL, CLIP, "both.safetensors", 0.5, -2.0).values
    assert applied(model.network.layers, f"{UNET}.weight") == 0.5
    assert applied(clip.layers, f"{TEXT}.weight") == -2.0
    assert (MODEL.network.layers, CLIP.layers) == ((), ())


@pytest.mark.usefixtures("run")
def test_loras_stack() -> None:
    model, clip = LoraLoader.execute(MODEL, CLIP, "both.safetensors", 0.5, 1.0).values
    (model,) = LoraLoaderModelOnly.execute(model, "unet.safetensors", 0.25).values
    assert [layer.name for layer in model.network.layers] == ["both.safetensors", "unet.safetensors"]
    assert applied(model.network.layers, f"{UNET}.weight") == 0.75
    assert len(clip.layers) == 1


@pytest.mark.usefixtures("run")
def test_parts_without_a_lora_are_unchanged() -> None:
    model, clip = LoraLoader.execute(MODEL, CLIP, "unet.safetensors", 1.0, 1.0).values
    assert len(model.network.layers) == 1
    assert clip is CLIP
    assert LoraLoader.execute(MODEL, CLIP, "both.safetensors", 0.0, 0.0).values == (MODEL, CLIP)
    assert LoraLoaderModelOnly.execute(MODEL, "both.safetensors", 0.0).values == (MODEL,)


@pytest.mark.usefixtures("run")
def test_a_lora_for_another_family_is_an_error() -> None:
    with pytest.raises(LoraMismatch, match=r"'other\.safetensors' is a LoRA for another model family"):
        LoraLoaderModelOnly.execute(MODEL, "other.safetensors", 1.0)
    with pytest.raises(FileNotFoundError):
        LoraLoaderModelOnly.execute(MODEL, "absent.safetensors", 1.0)
