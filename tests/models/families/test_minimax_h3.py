"""MiniMax H3: graphs from text, frames and references to films with sound, on miniature weights; sparse attention."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.nodes.context import FolderContext
from tests.nodes.graphs import Graph, run_graph
from torch.nn import functional

from safelight.models.checkpoint import load_autoencoder, load_diffusion_model
from safelight.models.families.minimax_h3.conditioning import Given
from safelight.models.families.minimax_h3.frames import aligned, cut_to_clips, latent_frames, shown_frames
from safelight.models.families.minimax_h3.network import H3Inputs, sound_level
from safelight.models.families.minimax_h3.sparse_attention import SparseAttention
from safelight.models.families.minimax_h3.text import Presentation, seen_pairs
from safelight.models.inputs import WrongConditioning
from safelight.models.lora.names import normalized
from safelight.models.miniatures.writing import write_miniature
from safelight.models.nested import NestedTensor
from safelight.models.weight_layers import WeightPart
from safelight.nodes.conditioning.minimax_h3 import (
    BadGuide,
    MiniMaxH3AddGuide,
    MiniMaxH3SigmaShift,
    NotMiniMaxH3,
    empty_film,
)
from safelight.nodes.model.attention_backend import BadBlocks, BlockSparseAttention


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("h3")
    for name in ("minimax-h3", "minimax-h3-reference", "fasth3"):
        list(write_miniature(name, root / "models"))
    return root


def call(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


SIZE = {"width": 64, "height": 32, "length": 22}
SOUND = call("EmptyAudio", duration=0.5, sample_rate=44100, channels=2)
SOURCES: Graph = {
    "clip": call("CLIPLoader", clip_name="qwen3vl_32b_minimax_h3_nvfp4_awq.safetensors", type="minimax"),
    "vae": call("VAELoader", vae_name="minimax_h3_video_vae_int8_convrot.safetensors"),
    "sounds": call("VAELoader", vae_name="minimax_h3_audio_vae_fp32.safetensors"),
    "red": call("EmptyImage", width=96, height=64, batch_size=1, color=0xFF0000),
    "clip of blue": call("EmptyImage", width=64, height=32, batch_size=24, color=255),
    "noise": call("RandomNoise", noise_seed=3),
    "sampler": call("KSamplerSelect", sampler_name="res_multistep"),
}


def film(
    prepared: dict[str, Any], *, network: str = "minimax_h3_fl2va_pruned_int8_convrot", model: Any = None, **more: Any
) -> Graph:
    chosen = model or ["network", 0]
    guider = call("BasicGuider", model=chosen, conditioning=more.pop("conditioning", ["prepared", 0]))
    return {
        **SOURCES,
        "network": call("UNETLoader", unet_name=f"{network}.safetensors", weight_dtype="default"),
        "prepared": prepared,
        "sigmas": call("BasicScheduler", model=chosen, scheduler="simple", steps=2, denoise=1.0),
        "guider": guider,
        "sampled": call(
            "SamplerCustomAdvanced",
            noise=["noise", 0],
            guider=["guider", 0],
            sampler=["sampler", 0],
            sigmas=["sigmas", 0],
            latent_image=["prepared", 1],
        ),
        "film": call("VAEDecode", samples=["sampled", 0], vae=["vae", 0]),
        "sound": call("VAEDecodeAudio", samples=["sampled", 0], vae=["sounds", 0]),
        **more,
    }


def image_to_video(**more: Any) -> dict[str, Any]:
    return call("MiniMaxH3ImageToVideo", clip=["clip", 0], vae=["vae", 0], prompt="a red horse", **SIZE, **more)


def made(root: Path, graph: Graph) -> tuple[torch.Tensor, torch.Tensor]:
    with FolderContext(root).running():
        done = run_graph(graph)
        frames = done["film"][0].whole()
    (sound,) = done["sound"]
    assert frames.shape == (22, 32, 64, 3)
    assert sound["waveform"].shape == (1, 2, 37 * 800)
    assert sound["sample_rate"] == 32000
    assert frames.isfinite().all()
    assert sound["waveform"].isfinite().all()
    return frames, sound["waveform"]


def test_films_with_sound_from_text_and_from_frames(models: Path) -> None:
    plain = made(models, film(image_to_video()))
    again = made(models, film(image_to_video()))
    assert all(torch.equal(one, other) for one, other in zip(plain, again, strict=True))
    first = made(models, film(image_to_video(first_frame=["red", 0])))
    both = made(models, film(image_to_video(first_frame=["red", 0], last_frame=["clip of blue", 0])))
    assert not torch.equal(first[0], plain[0])
    assert not torch.equal(both[0], first[0])
    shifted = call("MiniMaxH3SigmaShift", model=["network", 0], shift_video=12.0, shift_audio=1.0)
    other = made(models, film(image_to_video(), model=["shifted", 0], shifted=shifted))
    assert not torch.equal(other[1], plain[1])
    lora = call(
        "LoraLoaderModelOnly",
        model=["network", 0],
        lora_name="minimax_h3_fl2v_turbo_8step_v1.0_comfyui_bf16.safetensors",
        strength_model=1.0,
    )
    assert not torch.equal(made(models, film(image_to_video(), model=["lora", 0], lora=lora))[0], plain[0])


def references(**more: Any) -> dict[str, Any]:
    return call(
        "MiniMaxH3ReferenceToVideo", clip=["clip", 0], prompt="<Picture 1>", ref_image_size="match", **SIZE, **more
    )


def test_films_from_references(models: Path) -> None:
    vaes = {"vae": ["vae", 0], "audio_vae": ["sounds", 0]}
    given = {
        "ref_images.ref_image_0": ["red", 0],
        "ref_videos.ref_video_0": ["clip of blue", 0],
        "ref_video_audios.ref_video_audio_0": ["silence", 0],
        "ref_audios.ref_audio_0": ["silence", 0],
    }
    network = "minimax_h3_ref2va_pruned_int8_convrot"
    films = [
        made(models, film(references(**chosen), network=network, silence=SOUND))
        for chosen in ({}, given, {**given, **vaes})
    ]
    assert not torch.equal(films[0][0], films[1][0])
    assert not torch.equal(films[1][0], films[2][0])
    guided = call(
        "MiniMaxH3AddGuide",
        positive=["prepared", 0],
        latent=["prepared", 1],
        image=["red", 0],
        audio=["silence", 0],
        frame_idx=-3,
        **vaes,
    )
    with_guide = film(references(**given), network=network, silence=SOUND, guided=guided, conditioning=["guided", 0])
    assert not torch.equal(made(models, with_guide)[0], films[1][0])


def test_a_picture_from_an_empty_latent_of_any_kind(models: Path) -> None:
    graph = film(call("CLIPTextEncode", clip=["clip", 0], text="a red horse"))
    graph["empty"] = call("EmptyLatentImage", width=64, height=32, batch_size=1)
    sampled = {**graph["sampled"]["inputs"], "latent_image": ["empty", 0]}
    graph |= {
        "backend": call("ModelAttentionBackend", model=["network", 0], attention="comfy kitchen attention"),
        "sampled": call("SamplerCustomAdvanced", **sampled),
        "apart": call("LTXVSeparateAVLatent", av_latent=["sampled", 0]),
        "film": call("VAEDecode", samples=["apart", 0], vae=["vae", 0]),
        "vae": call("VAELoader", vae_name="minimax_h3_video_vae_fp16.safetensors"),
    }
    with FolderContext(models).running():
        (picture,) = run_graph(graph)["film"]
    assert picture.shape == (1, 32, 64, 3)


def test_lengths_grow_to_those_of_clips() -> None:
    assert [aligned(frames) for frames in (5, 6, 22, 124)] == [5, 22, 22, 124]
    assert [cut_to_clips(frames) for frames in (1, 4, 5, 21, 22, 40)] == [1, 1, 5, 5, 22, 39]
    assert [latent_frames(frames) for frames in (1, 5, 22, 124)] == [1, 2, 7, 37]
    assert all(shown_frames(latent_frames(frames)) == frames for frames in (1, 5, 22, 124))
    film_latent, sound = empty_film(64, 32, 100)["samples"]
    assert (film_latent.shape, sound.shape) == ((1, 24, 32, 2, 4), (1, 32, 178, 1, 2))


def test_references_are_labelled_and_films_are_seen_in_pairs() -> None:
    shown = Presentation()
    shown.add_picture(torch.zeros(1, 4, 4, 3))
    shown.add_sound()
    shown.add_film(torch.arange(25).reshape(-1, 1, 1, 1).expand(-1, 4, 4, 3).float())
    seen = "<|vision_start|><|image_pad|><|vision_end|>"
    expected = f"<Picture 1>: {seen}<Audio 1>: <Video 1>: <0.2 seconds>{seen}<1.0 seconds>{seen}"
    assert shown.text == expected
    first, second = seen_pairs(torch.arange(25).reshape(-1, 1, 1, 1).expand(-1, 4, 4, 3).float())
    assert [first[0].frames[:, 0, 0, 0].tolist(), second[0].frames[:, 0, 0, 0].tolist()] == [[0, 12], [24, 24]]


def test_the_sound_follows_its_own_schedule() -> None:
    shifts = (12.0, 3.0)
    base = torch.tensor([0.0, 0.25, 0.5, 1.0])
    film_levels = 12 * base / (1 + 11 * base)
    torch.testing.assert_close(sound_level(film_levels, shifts), 3 * base / (1 + 2 * base))


def test_errors_name_what_is_wrong(models: Path) -> None:
    folder = models / "models"
    model = load_diffusion_model(folder / "diffusion_models" / "minimax_h3_fl2va_pruned_int8_convrot.safetensors")
    options = {"shape": torch.Size((1, 24, 7, 2, 4)), "device": torch.device("cpu")}
    with pytest.raises(WrongConditioning, match=r"needs embeddings with 256 features .* type 'minimax'"):
        model.network.prepare_inputs(torch.zeros(1, 4, 20), {}, **options)
    guide = Given("guide", torch.zeros(1, 24, 1, 4, 4))
    with pytest.raises(WrongConditioning, match="a guide is 64x64 pixels large, but the film is 64x32"):
        model.network.prepare_inputs(torch.zeros(1, 4, 256), {"h3_guides": [guide]}, **options)
    vae = load_autoencoder(folder / "vae" / "minimax_h3_video_vae_int8_convrot.safetensors")
    latent, image = empty_film(64, 32, 22), torch.zeros(1, 32, 64, 3)
    for given, message in (
        ({"frame_idx": 0}, "neither an image nor audio"),
        ({"frame_idx": 22, "image": image, "vae": vae}, "frame_idx 22 is outside of the film, which has 22 frames"),
        ({"frame_idx": 0, "image": image}, "needs the VAE of films"),
        (
            {"frame_idx": 20, "image": image.expand(5, -1, -1, -1), "vae": vae},
            "a clip of 5 frames at frame 20 is longer",
        ),
    ):
        with pytest.raises(BadGuide, match=message):
            MiniMaxH3AddGuide.execute([[torch.zeros(1, 1, 4), {}]], latent, **given)
    with pytest.raises(BadGuide, match="the latent is not one of a film with its sound"):
        MiniMaxH3AddGuide.execute([], {"samples": torch.zeros(1, 4, 8, 8)}, 0, image=image)
    with pytest.raises(NotMiniMaxH3, match="works only with MiniMax H3, but the model is 'other'"):
        MiniMaxH3SigmaShift.execute(model.with_(network=None, family="other"), 12.0, 3.0)
    with pytest.raises(BadBlocks, match="invalid dense_blocks '1, x'"):
        BlockSparseAttention.execute(model, {"selection": "sla"}, dense_blocks="1, x")


def test_lora_names_of_diffusers_are_thirds_of_one_matrix(models: Path) -> None:
    model = load_diffusion_model(
        models / "models" / "diffusion_models" / "minimax_h3_fl2va_pruned_int8_convrot.safetensors"
    )
    names = model.network.lora_names
    assert names[normalized("transformer_blocks.1.attn.to_k")] == WeightPart("blocks.1.attn.qkv_proj", (256, 512))
    assert names[normalized("transformer_blocks.1.ff.net.2")] == WeightPart("blocks.1.mlp.fc2")
    assert names[normalized("blocks.1.attn.qkv_proj")] == WeightPart("blocks.1.attn.qkv_proj")


def random(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


Q, K, V = (random(1, 2, 30 + 5 * 6 * 9, 16, seed=seed) for seed in range(3))
"""30 rows of text and sound, and a film of 5 frames of 6 by 9."""


def attended(**settings: Any) -> torch.Tensor:
    plan = SparseAttention(shortest=0, **settings).plan(Q.shape[2], (5, 6, 9), 0.5)
    assert plan is not None
    return plan.attend(Q, K, V)


@pytest.mark.parametrize("sink", ["exact_kv", "exact_kv_and_rows", "off"])
@pytest.mark.parametrize("method", ["sla", "vsa", "sol-attn"])
def test_sparse_attention_to_all_blocks_is_dense_and_to_fewer_is_close(method: Any, sink: Any) -> None:
    dense = functional.scaled_dot_product_attention(Q, K, V)
    everything = attended(method=method, keep=1.0, tau=-100.0, sink=sink)
    torch.testing.assert_close(everything, dense, rtol=1e-4, atol=1e-5)
    few = attended(method=method, keep=0.3, tau=0.5, sink=sink, extra=0)
    rows = slice(0, 30) if sink == "exact_kv_and_rows" else slice(0, 0)
    torch.testing.assert_close(few[:, :, rows], dense[:, :, rows], rtol=1e-4, atol=1e-5)
    error = float((few - dense).norm() / dense.norm())
    assert 0.05 < error < 1.5
    if method != "vsa":
        more = attended(method=method, keep=0.3, tau=0.5, sink=sink, extra=128)
        assert float((more - dense).norm() / dense.norm()) < error


def test_sparse_attention_leaves_out_short_films_and_steps() -> None:
    sparse = SparseAttention("sla", shortest=400, highest=0.9, lowest=0.2)
    assert sparse.plan(399, (5, 6, 9), 0.5) is None
    assert sparse.plan(400, (5, 6, 9), 0.95) is None
    assert sparse.plan(400, (5, 6, 9), 0.1) is None
    assert sparse.plan(400, (5, 6, 9), 0.5) is not None


def test_the_node_makes_the_network_attend_to_fewer_blocks(models: Path) -> None:
    path = models / "models" / "diffusion_models" / "fastvideo_fasth3_8step_v2_pruned_int8_convrot.safetensors"
    model = load_diffusion_model(path)
    film_latent, sound = random(1, 24, 7, 8, 8, seed=1), random(1, 32, 37, 1, 2, seed=2)
    outputs = []
    for dense_blocks in ("", "0-1"):
        (chosen,) = BlockSparseAttention.execute(
            model, {"selection": "vsa", "keep_percent": 30.0}, 0.0, 1.0, dense_blocks, 0
        ).values
        with chosen.network.session() as predict, torch.inference_mode():
            options = {"latent_shapes": (film_latent.shape, sound.shape), "sample_sigmas": (0.8, 0.0)}
            inputs = chosen.network.prepare_inputs(
                random(1, 5, 256, seed=3), options, shape=film_latent.shape, device=torch.device("cpu")
            )
            assert isinstance(inputs, H3Inputs)
            outputs.append(predict(NestedTensor([film_latent, sound]), torch.tensor([0.8]), inputs))
        with model.network.session() as predict, torch.inference_mode():
            plain = model.network.prepare_inputs(
                random(1, 5, 256, seed=3), options, shape=film_latent.shape, device=torch.device("cpu")
            )
            dense = predict(NestedTensor([film_latent, sound]), torch.tensor([0.8]), plain)
    assert not torch.equal(outputs[0].tensors[0], dense.tensors[0])
    assert torch.equal(outputs[1].tensors[0], dense.tensors[0])
