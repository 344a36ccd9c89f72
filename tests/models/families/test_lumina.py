"""Z-Image and Lumina Image 2: detection, against diffusers, LoRAs, and the official graphs on miniature weights."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.nodes.context import FolderContext
from tests.nodes.graphs import Graph, run_graph, with_inputs

from safelight.models.checkpoint import load_diffusion_model, load_text_encoders
from safelight.models.families.lumina.lora_names import nextdit_names
from safelight.models.families.lumina.miniature_files import LUMINA, Z_IMAGE
from safelight.models.families.lumina.network import NextDiT, NextDiTInputs, nextdit_shape
from safelight.models.inputs import WrongConditioning
from safelight.models.lora.file import read_lora
from safelight.models.miniatures.writing import UnknownMiniature, miniature_names, random_weights, write_miniature
from safelight.models.quant.layers import QuantizedLinear
from safelight.models.sampling.levels import FlowLevels
from safelight.models.weight_layers import WeightPart


def network() -> tuple[NextDiT, dict[str, torch.Tensor]]:
    with torch.device("meta"):
        made = NextDiT(replace(Z_IMAGE, time_hidden=1024))
    weights = random_weights(made)
    generator = torch.Generator().manual_seed(1)
    weights = {name: value + 0.1 * torch.randn(value.shape, generator=generator) for name, value in weights.items()}
    made.load_state_dict(weights, assign=True)
    return made.eval(), weights


def written(path: Path, shape: Any) -> Path:
    with torch.device("meta"):
        module = NextDiT(shape)
    save_file(random_weights(module), path)
    return path


@torch.no_grad()
def test_equals_diffusers() -> None:
    from diffusers import ZImageTransformer2DModel

    ours, weights = network()
    theirs = ZImageTransformer2DModel(
        dim=256, n_layers=2, n_refiner_layers=1, n_heads=2, n_kv_heads=2, cap_feat_dim=256
    )
    state = theirs.state_dict()
    names = nextdit_names({name: value.shape for name, value in weights.items()})
    for name in state:
        if name in weights:
            state[name] = weights[name]
            continue
        module, _, kind = name.rpartition(".")
        part = names[module.replace(".", "_")]
        value = weights[f"{part.module}.{kind}"]
        state[name] = value if part.rows is None else value[slice(*part.rows)]
    feed_forward = state["layers.0.feed_forward.w1.weight"].shape[0]
    for part in theirs.modules():
        if type(part).__name__ == "FeedForward":
            part.w1, part.w3 = (torch.nn.Linear(256, feed_forward, bias=False) for _ in range(2))
            part.w2 = torch.nn.Linear(feed_forward, 256, bias=False)
    theirs.load_state_dict(state)
    x, context = torch.randn(1, 16, 12, 10), torch.randn(1, 21, 256)
    found = ours(x, torch.tensor([0.3]), NextDiTInputs(context))
    expected = -theirs.eval()([x[0][:, None]], torch.tensor([0.7]), [context[0]]).sample[0][:, 0]
    torch.testing.assert_close(found[0], expected, rtol=1e-3, atol=1e-4)


def test_files_are_told_from_their_names_and_shapes(tmp_path: Path) -> None:
    z_image = load_diffusion_model(written(tmp_path / "z.safetensors", Z_IMAGE))
    assert (z_image.family, z_image.parameterization.levels) == ("z_image", FlowLevels(3.0, multiplier=1.0))
    lumina = load_diffusion_model(written(tmp_path / "l.safetensors", LUMINA))
    assert (lumina.family, lumina.parameterization.levels) == ("lumina2", FlowLevels(6.0, multiplier=1.0))
    assert nextdit_shape(z_image.network.shapes) == Z_IMAGE
    assert nextdit_shape(lumina.network.shapes) == LUMINA


def test_embeddings_of_another_encoder_are_an_error(tmp_path: Path) -> None:
    model = load_diffusion_model(written(tmp_path / "z.safetensors", Z_IMAGE))
    with pytest.raises(WrongConditioning, match=r"'z.safetensors' needs embeddings with 256 features \(of Qwen3 4B\)"):
        model.network.prepare_inputs(
            torch.zeros(1, 3, 77), {}, shape=torch.Size((1, 16, 8, 8)), device=torch.device("cpu")
        )


def test_masked_tokens_do_not_change_how_the_others_are_read() -> None:
    ours, _ = network()
    read: list[torch.Tensor] = []
    ours.context_refiner[0].register_forward_hook(lambda module, arguments, result: read.append(result))
    context, mask = torch.randn(1, 32, 256), torch.tensor([[1] * 21 + [0] * 11])
    changed = torch.cat((context[:, :21], torch.ones(1, 11, 256)), dim=1)
    with torch.no_grad():
        for one, own in ((context, mask), (changed, mask), (changed, None)):
            ours(torch.zeros(1, 16, 8, 8), torch.tensor([0.5]), NextDiTInputs(one, own))
    torch.testing.assert_close(read[0][:, :21], read[1][:, :21])
    assert not torch.allclose(read[1][:, :21], read[2][:, :21])


@pytest.mark.parametrize("dialect", ["fused", "diffusers", "kohya"])
def test_loras_of_each_dialect_change_the_same_rows(tmp_path: Path, dialect: str) -> None:
    model = load_diffusion_model(written(tmp_path / "z.safetensors", Z_IMAGE))
    torch.manual_seed(0)
    down, up = torch.randn(4, 256), torch.randn(256, 4)
    keys = {
        "fused": ("diffusion_model.layers.1.attention.qkv.lora_A.weight", "lora_B"),
        "diffusers": ("transformer.layers.1.attention.to_k.lora_A.weight", "lora_B"),
        "kohya": ("lora_unet_layers_1_attention_to_k.lora_down.weight", "lora_up"),
    }
    first, other = keys[dialect]
    if dialect == "fused":
        up = torch.cat((torch.zeros(256, 4), up, torch.zeros(256, 4)))
    second = first.replace("lora_A", other).replace("lora_down", other)
    save_file({first: down, second: up}, tmp_path / "l.safetensors")
    layer = read_lora(tmp_path / "l.safetensors").network_layer(model.network)
    assert layer is not None
    (patched,) = layer.patches
    assert patched == "layers.1.attention.qkv.weight"
    changed = layer.patches[patched].apply(torch.zeros(768, 256), 1.0)
    torch.testing.assert_close(changed[256:512], up[-512:-256] @ down if dialect == "fused" else up @ down)
    assert not changed[:256].any()
    assert not changed[512:].any()
    assert nextdit_names(model.network.shapes)["layers_1_attention_to_out_0"] == WeightPart("layers.1.attention.out")


START: Graph = {
    "30": {
        "class_type": "CLIPLoader",
        "inputs": {"clip_name": "qwen_3_4b.safetensors", "type": "lumina2", "device": "default"},
    },
    "29": {"class_type": "VAELoader", "inputs": {"vae_name": "ae.safetensors"}},
    "28": {
        "class_type": "UNETLoader",
        "inputs": {"unet_name": "z_image_turbo_bf16.safetensors", "weight_dtype": "default"},
    },
    "27": {"class_type": "CLIPTextEncode", "inputs": {"text": "harbor boats and pastel houses", "clip": ["30", 0]}},
    "33": {"class_type": "ConditioningZeroOut", "inputs": {"conditioning": ["27", 0]}},
    "13": {"class_type": "EmptySD3LatentImage", "inputs": {"width": 128, "height": 96, "batch_size": 1}},
    "11": {"class_type": "ModelSamplingAuraFlow", "inputs": {"shift": 3, "model": ["28", 0]}},
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 0,
            "steps": 4,
            "cfg": 1,
            "sampler_name": "res_multistep",
            "scheduler": "simple",
            "denoise": 1,
            "model": ["11", 0],
            "positive": ["27", 0],
            "negative": ["33", 0],
            "latent_image": ["13", 0],
        },
    },
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["29", 0]}},
    "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "z-image-turbo", "images": ["8", 0]}},
}
"""The calls of the web UI's start graph, with fewer steps and pixels."""


def test_the_start_graph_makes_the_same_picture_again_and_in_a_batch(tmp_path: Path) -> None:
    assert [path.name for path in write_miniature("z-image-turbo", tmp_path / "models")] == [
        "z_image_turbo_bf16.safetensors",
        "qwen_3_4b.safetensors",
        "ae.safetensors",
        "pixel_art_style_z_image_turbo.safetensors",
    ]
    with FolderContext(tmp_path).running() as run, torch.inference_mode():
        first = run_graph(START)["8"][0]
        again = run_graph(START)["8"][0]
        batch = run_graph(with_inputs(START, batch_size=2))["8"][0]
        other = run_graph(with_inputs(START, text="a cat"))["8"][0]
    assert first.shape == (1, 96, 128, 3)
    assert first.std() > 0.01
    assert torch.equal(first, again)
    torch.testing.assert_close(batch[:1], first, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(other, first, atol=1e-3)
    assert [file.path.suffix for file in run.saved] == [".png"] * 5


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("z-image-int8", "z_image_turbo_int8_convrot.safetensors"),
        ("z-image-gguf", "z_image_turbo-Q4_K_M.gguf"),
    ],
)
def test_quantised_files_make_nearly_the_same_prediction(tmp_path: Path, name: str, file: str) -> None:
    list(write_miniature(name, tmp_path))
    list(write_miniature("z-image-turbo", tmp_path))
    torch.manual_seed(0)
    x, level, context = torch.randn(1, 16, 8, 8), torch.tensor([0.5]), torch.randn(1, 9, 256)
    made = []
    for own in (file, "z_image_turbo_bf16.safetensors"):
        model = load_diffusion_model(tmp_path / "diffusion_models" / own)
        with model.network.session() as predict, torch.inference_mode():
            kinds = {type(part) for part in predict.modules()}  # type: ignore[attr-defined]
            made.append(predict(x, level, NextDiTInputs(context)))
        assert (QuantizedLinear in kinds) == (own == file)
    assert float((made[0] - made[1]).norm() / made[1].norm()) < 0.3


def test_a_text_encoder_of_another_type_is_named(tmp_path: Path) -> None:
    list(write_miniature("z-image-turbo", tmp_path))
    encoder = load_text_encoders([tmp_path / "text_encoders" / "qwen_3_4b.safetensors"], "sdxl")
    with pytest.raises(WrongConditioning, match=r"'qwen_3_4b.safetensors' is Qwen3; text encoders of type 'sdxl' are"):
        encoder.encode(encoder.tokenize("a cat"))


def test_unknown_miniatures_are_refused_with_the_names(tmp_path: Path) -> None:
    assert "z-image-turbo" in miniature_names()
    with pytest.raises(UnknownMiniature, match=r"no miniature 'x'; there are .*z-image"):
        list(write_miniature("x", tmp_path))
