"""LTX-2 with sound: the network of 2.3 against diffusers, the text encoder, and graphs on miniature weights. The
numbers of 2.0 are compared with ComfyUI's in tests/golden."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.nodes.context import FolderContext
from tests.nodes.graphs import Graph, run_graph

from safelight.media.audio import read_audio
from safelight.media.video import probe, read_frames
from safelight.models.checkpoint import load_diffusion_model
from safelight.models.families.ltx.miniature_files import NEWER, SOUND
from safelight.models.families.ltx.sound_network import LtxSound, SoundShape, sound_shape
from safelight.models.families.ltx.text import load_ltx_text_encoder
from safelight.models.families.ltx.video_network import LtxInputs
from safelight.models.lora.file import LoraMismatch, read_lora
from safelight.models.miniatures.writing import random_weights, write_miniature
from safelight.models.nested import NestedTensor
from safelight.models.weights import UnknownWeights
from safelight.nodes.audio.ltxv import LTXVAudioVAEDecode, NotAnAudioVae

CHECKPOINT = "ltx-2-19b-dev-fp8.safetensors"
FILES = {
    "ltx-2": (CHECKPOINT, "ltx-2-spatial-upscaler-x2-1.0.safetensors", "ltx-2-19b-distilled-lora-384.safetensors"),
    "ltx-2.3": (
        "ltx-2.3-22b-dev-fp8.safetensors",
        "ltx-2.3-spatial-upscaler-x2-1.1.safetensors",
        "ltx-2.3-22b-distilled-lora-384.safetensors",
    ),
}


def network(shape: SoundShape) -> tuple[LtxSound, dict[str, torch.Tensor]]:
    with torch.device("meta"):
        made = LtxSound(shape)
    generator = torch.Generator().manual_seed(1)
    weights = {
        name: value + 0.1 * torch.randn(value.shape, generator=generator)
        for name, value in random_weights(made).items()
    }
    made.load_state_dict(weights, assign=True)
    return made.eval(), weights


@pytest.mark.parametrize("version", ["2.3", "2.5"])
@torch.no_grad()
def test_equals_diffusers(version: str) -> None:
    from diffusers import LTX2VideoTransformer3DModel
    from diffusers.loaders.single_file_utils import convert_ltx2_transformer_to_diffusers

    shape = NEWER if version == "2.3" else replace(NEWER, times_text=False, video=replace(NEWER.video, has_bias=False))
    ours, weights = network(shape)
    renamed = {
        name.replace("audio_prompt_adaln_single", "audio_prompt_adaln").replace(
            "prompt_adaln_single", "prompt_adaln"
        ): value
        for name, value in weights.items()
    }
    theirs = LTX2VideoTransformer3DModel(
        num_attention_heads=32,
        attention_head_dim=8,
        cross_attention_dim=256,
        gated_attn=True,
        cross_attn_mod=True,
        audio_attention_head_dim=4,
        audio_cross_attention_dim=128,
        audio_gated_attn=True,
        audio_cross_attn_mod=True,
        num_layers=2,
        rope_type="split",
        use_prompt_embeddings=False,
        use_prompt_adaln_single=shape.times_text,
        ff_bias=shape.video.has_bias,
    ).eval()
    for block in theirs.transformer_blocks:  # 4 times the width in diffusers
        for name, width, inner in (("ff", 256, 512), ("audio_ff", 128, 256)):
            layers = getattr(block, name).net
            bias = layers[2].bias is not None
            layers[0].proj = torch.nn.Linear(width, inner, bias=bias)
            layers[2] = torch.nn.Linear(inner, width, bias=bias)
    theirs.load_state_dict(convert_ltx2_transformer_to_diffusers(renamed))
    theirs = theirs.eval()
    for module in theirs.modules():  # as LTX-2's attention has it in files
        if isinstance(module, torch.nn.RMSNorm) and module.elementwise_affine:
            module.eps = 1e-5
    video, audio = torch.randn(2, 128, 2, 3, 4), torch.randn(2, 8, 5, 16)
    context, level = torch.randn(2, 9, 256 + 128), torch.tensor([0.3, 0.8])
    expected = theirs(
        hidden_states=video.flatten(2).transpose(1, 2),
        audio_hidden_states=audio.transpose(1, 2).flatten(2),
        encoder_hidden_states=context[..., :256],
        audio_encoder_hidden_states=context[..., 256:],
        timestep=level[:, None] * 1000,
        sigma=level * 1000,
        num_frames=2,
        height=3,
        width=4,
        fps=24.0,
        audio_num_frames=5,
        use_cross_timestep=True,
    )
    made = ours(NestedTensor([video, audio]), level, LtxInputs(context, frame_rate=24.0))
    assert isinstance(made, NestedTensor)
    wanted = (
        expected.sample.transpose(1, 2).reshape(video.shape),
        expected.audio_sample.unflatten(-1, (8, 16)).transpose(1, 2),
    )
    for one, other in zip(made, wanted, strict=True):
        assert float((one - other).norm() / other.norm()) < 1e-5


@pytest.mark.parametrize("shape", [SOUND, NEWER])
def test_parts_are_those_of_the_file(shape: SoundShape) -> None:
    with torch.device("meta"):
        state = LtxSound(shape).state_dict()
    assert sound_shape({name: value.shape for name, value in state.items()}, {}) == shape


def link(call: str, index: int = 0) -> list[Any]:
    return [call, index]


def node(type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": type, "inputs": inputs}


def film(version: str) -> Graph:
    """Two passes, the second at twice the size, with sound, as the official templates do it."""
    checkpoint, upsampler, lora = FILES[version]
    second: Graph = {
        "parts": node("LTXVSeparateAVLatent", av_latent=link("sampled")),
        "upsampler": node("LatentUpscaleModelLoader", model_name=upsampler),
        "larger": node(
            "LTXVLatentUpsampler", samples=link("parts"), upscale_model=link("upsampler"), vae=link("loaded", 2)
        ),
        "begun": node(
            "LTXVImgToVideoInplace", vae=link("loaded", 2), image=link("image"), latent=link("larger"), strength=1.0
        ),
        "both": node("LTXVConcatAVLatent", video_latent=link("begun"), audio_latent=link("parts", 1)),
        "refined": node(
            "SamplerCustomAdvanced",
            noise=link("noise"),
            guider=link("single"),
            sampler=link("sampler"),
            sigmas=link("sigmas"),
            latent_image=link("both"),
        ),
        "finished": node("LTXVSeparateAVLatent", av_latent=link("refined")),
    }
    return {
        "loaded": node("CheckpointLoaderSimple", ckpt_name=checkpoint),
        "model": node("LoraLoaderModelOnly", model=link("loaded"), lora_name=lora, strength_model=0.5),
        "clip": node(
            "LTXAVTextEncoderLoader", text_encoder="gemma_3_12B_it_fp4_mixed.safetensors", ckpt_name=checkpoint
        ),
        "audio": node("LTXVAudioVAELoader", ckpt_name=checkpoint),
        "text": node("CLIPTextEncode", text="a (red) horse neighs", clip=link("clip")),
        "conditioned": node("LTXVConditioning", positive=link("text"), negative=link("text"), frame_rate=25.0),
        "image": node("EmptyImage", width=128, height=128, batch_size=1, color=0xFF8000),
        "video": node("EmptyLTXVLatentVideo", width=64, height=64, length=9, batch_size=1),
        "silence": node("LTXVEmptyLatentAudio", frames_number=9, frame_rate=25, batch_size=1, audio_vae=link("audio")),
        "latent": node("LTXVConcatAVLatent", video_latent=link("video"), audio_latent=link("silence")),
        "noise": node("RandomNoise", noise_seed=3),
        "sampler": node("KSamplerSelect", sampler_name="euler"),
        "sigmas": node("ManualSigmas", sigmas="1.0, 0.725, 0.0"),
        "guider": node(
            "LTXVDualCFGGuider",
            model=link("model"),
            positive=link("conditioned"),
            negative=link("conditioned", 1),
            video_cfg=3.0,
            audio_cfg=7.0,
        ),
        "single": node(
            "CFGGuider", model=link("model"), positive=link("conditioned"), negative=link("conditioned", 1), cfg=1.0
        ),
        "sampled": node(
            "SamplerCustomAdvanced",
            noise=link("noise"),
            guider=link("guider"),
            sampler=link("sampler"),
            sigmas=link("sigmas"),
            latent_image=link("latent"),
        ),
        **second,
        "frames": node("VAEDecode", samples=link("finished"), vae=link("loaded", 2)),
        "heard": node("LTXVAudioVAEDecode", samples=link("refined"), audio_vae=link("audio")),
        "film": node("CreateVideo", images=link("frames"), audio=link("heard"), fps=25.0),
        "saved": node("SaveVideo", video=link("film"), filename_prefix="film", format="mp4", codec="h264"),
    }


@pytest.mark.slow
@pytest.mark.parametrize("version", FILES)
def test_a_film_with_sound_from_text_to_file(tmp_path: Path, version: str) -> None:
    list(write_miniature(version, tmp_path / "models"))
    with FolderContext(tmp_path).running() as run:
        made = run_graph(film(version))
    first = made["sampled"][0]["samples"]
    assert [tuple(part.shape) for part in first] == [(1, 128, 2, 2, 2), (1, 8, 9, 16)]
    assert made["begun"][0]["samples"].shape == (1, 128, 2, 4, 4)
    assert made["frames"][0].shape == (9, 128, 128, 3)
    heard = made["heard"][0]
    rate = 24000 if version == "ltx-2" else 48000
    assert heard["sample_rate"] == rate
    assert heard["waveform"].shape == (1, 2, (9 * 4 - 3) * rate // 100)
    (file,) = run.saved
    info = probe(file.path)
    assert (info.frame_count, info.frame_rate, info.audio_codec) == (9, 25, "aac")
    assert len(list(read_frames(file.path))) == 9
    sound = read_audio(file.path)
    assert sound is not None
    assert sound.rate == rate
    assert sound.samples.shape[1] >= heard["waveform"].shape[2]  # the last block of AAC is filled up


@pytest.mark.slow
def test_wrong_files_are_refused_by_name(tmp_path: Path) -> None:
    list(write_miniature("ltx-2", tmp_path / "models"))
    list(write_miniature("ltx-video", tmp_path / "models"))
    models = tmp_path / "models"
    gemma = models / "text_encoders" / "gemma_3_12B_it.safetensors"
    video = models / "checkpoints" / "ltx-video-2b-v0.9.safetensors"
    with pytest.raises(UnknownWeights, match=r"'ltx-video-2b-v0.9.safetensors' has no connectors of LTX-2"):
        load_ltx_text_encoder(gemma, video)
    with pytest.raises(UnknownWeights, match=r"'t5xxl_fp16.safetensors' is T5; the text encoder of LTX-2 is Gemma 3"):
        load_ltx_text_encoder(models / "text_encoders" / "t5xxl_fp16.safetensors", video)
    graph = {
        "audio": node("LTXVAudioVAELoader", ckpt_name=video.name),
    }
    with FolderContext(tmp_path).running(), pytest.raises(UnknownWeights, match="contains no audio VAE of LTX-2"):
        run_graph(graph)
    with pytest.raises(NotAnAudioVae, match="LTXVAudioVAELoader"):
        LTXVAudioVAEDecode.execute({"samples": torch.zeros(1, 8, 3, 16)}, object())
    encoder = load_ltx_text_encoder(gemma, models / "checkpoints" / CHECKPOINT)
    hidden, _ = encoder.encode(encoder.tokenize("a horse"))
    assert hidden.shape == (1, 1024, 512)  # continued with learned tokens, once for the video and once for the audio


@pytest.mark.slow
def test_audio_goes_to_a_latent_and_a_prompt_is_written(tmp_path: Path) -> None:
    list(write_miniature("ltx-2", tmp_path / "models"))
    options = {"sampling_mode": "on", "temperature": 0.7, "top_k": 64, "top_p": 0.95, "min_p": 0.05}
    graph = {
        "audio": node("LTXVAudioVAELoader", ckpt_name=CHECKPOINT),
        "silence": node("EmptyAudio", duration=0.5, sample_rate=44100, channels=1),
        "latent": node("LTXVAudioVAEEncode", audio=link("silence"), audio_vae=link("audio")),
        "clip": node("LTXAVTextEncoderLoader", text_encoder="gemma_3_12B_it.safetensors", ckpt_name=CHECKPOINT),
        "image": node("EmptyImage", width=64, height=64, batch_size=1, color=0),
        "prompt": node(
            "TextGenerateLTX2Prompt",
            clip=link("clip"),
            prompt="a horse",
            image=link("image"),
            max_length=3,
            sampling_mode={**options, "repetition_penalty": 1.05, "seed": 1},
        ),
    }
    with FolderContext(tmp_path).running():
        made = run_graph(graph)
    latent = made["latent"][0]
    assert latent["samples"].shape == (1, 8, 13, 16)  # 51 columns of 10 ms, the first of which is a position alone
    assert latent["type"] == "audio"
    assert made["prompt"][0]


@pytest.mark.slow
def test_loras_of_each_dialect_change_the_network_and_the_text_encoder(tmp_path: Path) -> None:
    list(write_miniature("ltx-2", tmp_path / "models"))
    checkpoint = tmp_path / "models" / "checkpoints" / "ltx-2-19b-dev.safetensors"
    model = load_diffusion_model(checkpoint)
    encoder = load_ltx_text_encoder(tmp_path / "models" / "text_encoders" / "gemma_3_12B_it.safetensors", checkpoint)

    def layer(*names: str, text: bool = False, rows: int = 256, columns: int = 256) -> Any:
        parts = {
            f"{name}.{part}.weight": torch.randn(size)
            for name in names
            for part, size in (("lora_A", (2, columns)), ("lora_B", (rows, 2)))
        }
        save_file(parts, tmp_path / "lora.safetensors")
        lora = read_lora(tmp_path / "lora.safetensors")
        return lora.text_layer(encoder.shapes) if text else lora.network_layer(model.network)

    assert layer("diffusion_model.transformer_blocks.1.attn1.to_out.0") is not None
    assert layer("transformer.transformer_blocks.1.attn2.to_q") is not None
    assert layer("transformer.proj_in", columns=128) is not None
    assert layer("transformer.time_embed.linear", rows=6 * 256) is not None
    named = "text_encoders.gemma3_12b.transformer.model.layers.0.self_attn.q_proj"
    assert layer(named, text=True, rows=512) is not None
    assert layer("text_encoders.model.layers.1.self_attn.q_proj", text=True, rows=512) is not None
    with pytest.raises(LoraMismatch, match="missing from this text encoder"):
        layer("text_encoders.gemma3_12b.transformer.model.layers.9.self_attn.q_proj", text=True, rows=512)
