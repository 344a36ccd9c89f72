"""HunyuanVideo 1.5: its files, its text encoders, and graphs on miniature weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.against_comfyui.families import ARCHITECTURES, write_weights
from safetensors.torch import load_file, save_file
from tests.nodes.context import FolderContext
from tests.nodes.graphs import Graph, run_graph

from safelight.models.checkpoint import load_diffusion_model, load_text_encoders
from safelight.models.families.hunyuan_video.glyphs import byte_tokens, shown_texts
from safelight.models.families.hunyuan_video.network import hunyuan_video_shape
from safelight.models.inputs import WrongConditioning
from safelight.models.miniatures.writing import write_miniature
from safelight.models.weights import UnknownWeights

SHAPE = torch.Size((1, 32, 3, 4, 4))
PUBLISHED = {
    ".img_attn.qkv.": ".img_attn_qkv.",
    ".img_mlp.0.": ".img_mlp.fc1.",
    ".txt_attn.norm.query_norm.scale": ".txt_attn_q_norm.weight",
    "txt_in.t_embedder.in_layer.": "txt_in.t_embedder.mlp.0.",
    "time_in.out_layer.": "time_in.mlp.2.",
}


def prepare(model: Any, context: torch.Tensor, **options: Any) -> Any:
    return model.network.prepare_inputs(context, options, shape=SHAPE, device=torch.device("cpu"))


def test_files_in_the_published_spelling_are_the_same_network(tmp_path: Path) -> None:
    own = write_weights("hunyuan video 1.5", tmp_path)
    named = load_file(own)
    for network_name, published in PUBLISHED.items():
        named = {name.replace(network_name, published): tensor for name, tensor in named.items()}
    assert any(".img_attn_qkv." in name for name in named)
    save_file(named, tmp_path / "published.safetensors")
    models = [load_diffusion_model(path) for path in (own, tmp_path / "published.safetensors")]
    shape = ARCHITECTURES["hunyuan video 1.5"].shape  # type: ignore[attr-defined]
    made = []
    for model in models:
        assert model.family == "hunyuan_video"
        assert hunyuan_video_shape(model.network.shapes) == shape
        given = prepare(model, torch.ones(1, 3, 96))
        with model.network.session() as predict, torch.inference_mode():
            made.append(predict(torch.ones(SHAPE), torch.tensor([300.0]), given))
    assert torch.equal(*made)


def test_files_of_other_kinds_are_refused_by_what_they_are(tmp_path: Path) -> None:
    weights = load_file(write_weights("hunyuan video 1.5", tmp_path))
    save_file({**weights, "time_r_in.in_layer.weight": torch.zeros(256, 256)}, tmp_path / "few.safetensors")
    with pytest.raises(
        UnknownWeights, match=r"'few.safetensors' is a HunyuanVideo model that is distilled to few steps"
    ):
        load_diffusion_model(tmp_path / "few.safetensors")
    weights["img_in.proj.weight"] = torch.zeros(256, 98, 1, 1, 1)
    save_file(weights, tmp_path / "sr.safetensors")
    with pytest.raises(UnknownWeights, match=r"with 98 input channels \(of super-resolution\)"):
        load_diffusion_model(tmp_path / "sr.safetensors")


def test_other_conditionings_are_refused_with_what_was_expected(tmp_path: Path) -> None:
    model = load_diffusion_model(write_weights("hunyuan video 1.5", tmp_path))
    with pytest.raises(WrongConditioning, match=r"needs embeddings with 96 features .* 'hunyuan_video_15'.* has 7"):
        prepare(model, torch.zeros(1, 3, 7))
    with pytest.raises(WrongConditioning, match=r"shape \[1, 32, 2, 4, 4\], but 32 channels and 3 latent frames"):
        prepare(model, torch.zeros(1, 3, 96), concat_latent_image=torch.zeros(1, 32, 2, 4, 4))


def test_texts_in_quotes_are_read_byte_by_byte() -> None:
    assert shown_texts('a sign "open \xe9" and \u201cx\u201d or \u2018y\u2019') == ["open \xe9", "y", "x"]
    assert byte_tokens("a\xe9") == [100, 198, 172]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hunyuan")
    list(write_miniature("hunyuan-video-1.5", root / "models"))
    return root


def test_a_prompt_is_read_without_instructions_and_with_the_glyphs_in_it(models: Path) -> None:
    folder = models / "models/text_encoders"
    names = ("qwen_2.5_vl_7b_fp8_scaled.safetensors", "byt5_small_glyphxl_fp16.safetensors")
    encoder = load_text_encoders([folder / name for name in names], "hunyuan_video_15")
    plain = encoder.encoding(encoder.tokenize("a cat"))
    assert "conditioning_byt5small" not in plain.options
    shown = encoder.encoding(encoder.tokenize('a sign that says "hi"'))
    assert shown.options["conditioning_byt5small"].shape == (1, len('Text "hi". ') + 1, 1472)
    assert torch.equal(encoder.encoding(encoder.tokenize("")).hidden, encoder.encoding(encoder.tokenize(" ")).hidden)
    (window,) = encoder.tokenize("a cat")["qwen25_7b"]
    assert plain.hidden.shape[1] < len(window) - 80


def call(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


GRAPH: Graph = {
    "vae": call("VAELoader", vae_name="hunyuanvideo15_vae_fp16.safetensors"),
    "clip": call(
        "DualCLIPLoader",
        clip_name1="qwen_2.5_vl_7b_fp8_scaled.safetensors",
        clip_name2="byt5_small_glyphxl_fp16.safetensors",
        type="hunyuan_video_15",
    ),
    "network": call("UNETLoader", unet_name="hunyuanvideo1.5_720p_i2v_fp16.safetensors", weight_dtype="default"),
    "model": call("ModelSamplingSD3", shift=7.0, model=["network", 0]),
    "positive": call("CLIPTextEncode", text='a sign "hi"', clip=["clip", 0]),
    "negative": call("CLIPTextEncode", text="", clip=["clip", 0]),
    "picture": call("EmptyImage", width=64, height=64, batch_size=1, color=0x6080A0),
    "vision": call("CLIPVisionLoader", clip_name="sigclip_vision_patch14_384.safetensors"),
    "seen": call("CLIPVisionEncode", clip_vision=["vision", 0], image=["picture", 0], crop="center"),
    "start": call(
        "HunyuanVideo15ImageToVideo",
        positive=["positive", 0],
        negative=["negative", 0],
        vae=["vae", 0],
        width=64,
        height=48,
        length=9,
        batch_size=1,
        start_image=["picture", 0],
        clip_vision_output=["seen", 0],
    ),
    "sampled": call(
        "KSampler",
        seed=1,
        steps=2,
        cfg=6.0,
        sampler_name="euler",
        scheduler="simple",
        denoise=1.0,
        model=["model", 0],
        positive=["start", 0],
        negative=["start", 1],
        latent_image=["start", 2],
    ),
    "frames": call("VAEDecode", samples=["sampled", 0], vae=["vae", 0]),
}


def test_a_picture_and_text_become_a_video_and_the_same_one_again(models: Path) -> None:
    with FolderContext(models).running(), torch.inference_mode():
        made = run_graph(GRAPH)["frames"][0].whole()
        assert made.shape == (9, 48, 64, 3)
        assert torch.equal(made, run_graph(GRAPH)["frames"][0].whole())
        text_only = {**GRAPH, "start": call("EmptyHunyuanVideo15Latent", width=64, height=48, length=9, batch_size=1)}
        text_only["sampled"] = call(
            "KSampler",
            **{
                **GRAPH["sampled"]["inputs"],
                "positive": ["positive", 0],
                "negative": ["negative", 0],
                "latent_image": ["start", 0],
            },
        )
        assert not torch.equal(made, run_graph(text_only)["frames"][0].whole())
