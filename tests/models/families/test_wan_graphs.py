"""Graphs of Wan on miniature weights, from prompt to frames."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.nodes.context import FolderContext
from tests.nodes.graphs import Graph, run_graph, with_inputs

from safelight.models.miniatures.writing import write_miniature
from safelight.nodes.conditioning.video_frames import WrongAutoencoder
from safelight.nodes.conditioning.wan_pictures import WanImageToVideo


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("wan")
    for name in ("wan2.1", "wan2.1-vace", "wan2.2-t2v", "wan2.2-i2v", "wan2.2-5b"):
        list(write_miniature(name, root / "models"))
    return root


@pytest.fixture(autouse=True)
def running(models: Path) -> Iterator[FolderContext]:
    with FolderContext(models).running() as run, torch.inference_mode():
        yield run


def call(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def picture(seed: int = 0) -> dict[str, Any]:
    return call("EmptyImage", width=40, height=32, batch_size=1, color=0x6080A0 + seed)


LOADERS: Graph = {
    "clip": call("CLIPLoader", clip_name="umt5_xxl_fp8_e4m3fn_scaled.safetensors", type="wan", device="default"),
    "vae": call("VAELoader", vae_name="wan_2.1_vae.safetensors"),
    "positive": call("CLIPTextEncode", text="a fox runs", clip=["clip", 0]),
    "negative": call("CLIPTextEncode", text="gray", clip=["clip", 0]),
}
SIZE = {"width": 48, "height": 32, "length": 9, "batch_size": 1}


def network(name: str, **loras: str) -> Graph:
    graph = {"network": call("UNETLoader", unet_name=name, weight_dtype="default")}
    last = "network"
    for lora in loras.values():
        graph["lora"] = call("LoraLoaderModelOnly", lora_name=lora, strength_model=1.0, model=[last, 0])
        last = "lora"
    graph["model"] = call("ModelSamplingSD3", shift=5.0, model=[last, 0])
    return graph


def sampled(positive: Any, negative: Any, latent: Any) -> Graph:
    sampler = call(
        "KSampler",
        seed=3,
        steps=2,
        cfg=3.0,
        sampler_name="uni_pc",
        scheduler="simple",
        denoise=1.0,
        model=["model", 0],
        positive=positive,
        negative=negative,
        latent_image=latent,
    )
    return {"sampled": sampler, "frames": call("VAEDecode", samples=["sampled", 0], vae=["vae", 0])}


def frames_of(graph: Graph) -> torch.Tensor:
    frames: torch.Tensor = run_graph(graph)["frames"][0].whole()
    assert bool(torch.isfinite(frames).all())
    return frames


def test_text_becomes_a_video_and_the_same_one_again(running: FolderContext) -> None:
    graph: Graph = {
        **LOADERS,
        **network("wan2.1_t2v_1.3B_fp16.safetensors"),
        "empty": call("EmptyHunyuanLatentVideo", **SIZE),
        **sampled(["positive", 0], ["negative", 0], ["empty", 0]),
    }
    made = frames_of(graph)
    assert made.shape == (9, 32, 48, 3)
    assert torch.equal(made, frames_of(graph))
    assert not torch.equal(made, frames_of(with_inputs(graph, text="a dog")))
    assert running.previews


def started(node: str, **more: Any) -> Graph:
    return {
        "start": call(node, positive=["positive", 0], negative=["negative", 0], vae=["vae", 0], **SIZE, **more),
        **sampled(["start", 0], ["start", 1], ["start", 2]),
    }


def test_a_picture_and_clip_vision_start_a_video() -> None:
    graph: Graph = {
        **LOADERS,
        **network("wan2.1_i2v_480p_14B_fp16.safetensors"),
        "picture": picture(),
        "vision": call("CLIPVisionLoader", clip_name="clip_vision_h.safetensors"),
        "seen": call("CLIPVisionEncode", clip_vision=["vision", 0], image=["picture", 0], crop="none"),
        **started("WanImageToVideo", start_image=["picture", 0], clip_vision_output=["seen", 0]),
    }
    made = frames_of(graph)
    assert made.shape == (9, 32, 48, 3)
    without = {name: one for name, one in graph.items() if name not in ("vision", "seen")}
    del without["start"]["inputs"]["clip_vision_output"]
    assert not torch.equal(made, frames_of(without))


def test_a_video_runs_between_its_first_and_last_frame() -> None:
    graph: Graph = {
        **LOADERS,
        **network("wan2.1_flf2v_720p_14B_fp16.safetensors"),
        "picture": picture(),
        "end": picture(0x404040),
        "vision": call("CLIPVisionLoader", clip_name="clip_vision_h.safetensors"),
        "seen": call("CLIPVisionEncode", clip_vision=["vision", 0], image=["picture", 0], crop="none"),
        "seen end": call("CLIPVisionEncode", clip_vision=["vision", 0], image=["end", 0], crop="none"),
        **started(
            "WanFirstLastFrameToVideo",
            start_image=["picture", 0],
            end_image=["end", 0],
            clip_vision_start_image=["seen", 0],
            clip_vision_end_image=["seen end", 0],
        ),
    }
    assert frames_of(graph).shape == (9, 32, 48, 3)


def test_a_reference_picture_is_in_front_of_a_vace_video_and_is_cut_off() -> None:
    graph: Graph = {
        **LOADERS,
        **network("wan2.1_vace_14B_fp16.safetensors"),
        "picture": picture(),
        **started("WanVaceToVideo", strength=1.0, reference_image=["picture", 0]),
        "cut": call("TrimVideoLatent", samples=["sampled", 0], trim_amount=["start", 3]),
        "frames": call("VAEDecode", samples=["cut", 0], vae=["vae", 0]),
    }
    done = run_graph(graph)
    assert done["sampled"][0]["samples"].shape[2] == 4
    assert done["frames"][0].shape[0] == 9


def test_two_experts_sample_one_after_the_other_with_loras_for_few_steps() -> None:
    name = "wan2.2_t2v_{}_noise_14B_fp8_scaled.safetensors"
    light = "wan2.2_t2v_lightx2v_4steps_lora_v1.1_{}_noise.safetensors"
    graph: Graph = {**LOADERS, "empty": call("EmptyHunyuanLatentVideo", **SIZE)}
    for noise in ("high", "low"):
        own = network(name.format(noise), lora=light.format(noise))
        for key, one in own.items():
            inputs = {k: [f"{noise} {v[0]}", v[1]] if isinstance(v, list) else v for k, v in one["inputs"].items()}
            graph[f"{noise} {key}"] = call(one["class_type"], **inputs)
    part = {
        "noise_seed": 7,
        "steps": 4,
        "cfg": 1.0,
        "sampler_name": "euler",
        "scheduler": "simple",
        "positive": ["positive", 0],
        "negative": ["negative", 0],
    }
    graph["first"] = call(
        "KSamplerAdvanced",
        **part,
        add_noise="enable",
        start_at_step=0,
        end_at_step=2,
        return_with_leftover_noise="enable",
        model=["high model", 0],
        latent_image=["empty", 0],
    )
    graph["second"] = call(
        "KSamplerAdvanced",
        **part,
        add_noise="disable",
        start_at_step=2,
        end_at_step=4,
        return_with_leftover_noise="disable",
        model=["low model", 0],
        latent_image=["first", 0],
    )
    graph["frames"] = call("VAEDecode", samples=["second", 0], vae=["vae", 0])
    made = frames_of(graph)
    assert made.shape == (9, 32, 48, 3)
    graph["second"]["inputs"]["model"] = ["low network", 0]
    assert not torch.equal(made, frames_of(graph))


def test_the_small_model_keeps_the_picture_that_it_starts_from() -> None:
    size = {"width": 64, "height": 64, "length": 9, "batch_size": 1}
    graph: Graph = {
        **LOADERS,
        **network("wan2.2_ti2v_5B_fp16.safetensors"),
        "vae": call("VAELoader", vae_name="wan2.2_vae.safetensors"),
        "picture": picture(),
        "start": call("Wan22ImageToVideoLatent", vae=["vae", 0], **size, start_image=["picture", 0]),
        **sampled(["positive", 0], ["negative", 0], ["start", 0]),
    }
    done = run_graph(graph)
    assert done["sampled"][0]["samples"].shape == (1, 48, 3, 4, 4)
    given, made = done["start"][0]["samples"], done["sampled"][0]["samples"]
    torch.testing.assert_close(made[:, :, 0], given[:, :, 0], rtol=0, atol=1e-2)
    assert done["frames"][0].shape == (9, 64, 64, 3)


def test_a_vae_of_pictures_is_refused() -> None:
    with pytest.raises(WrongAutoencoder, match="for pictures, but a VAE of videos is needed"):
        WanImageToVideo.execute([], [], object(), 32, 32, 5, 1, start_image=torch.zeros(1, 32, 32, 3))
