"""LTX-Video: detection, settings of a file, and graphs on miniature weights. Its numbers are compared in
tests/golden."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.nodes.context import FolderContext
from tests.nodes.graphs import Graph, run_graph

from safelight.models.autoencoder.ltx_autoencoder import LtxAutoencoder
from safelight.models.checkpoint import load_diffusion_model
from safelight.models.families.ltx.blocks import Timesteps
from safelight.models.families.ltx.miniature_files import VIDEO
from safelight.models.families.ltx.positions import Positions, video_spans
from safelight.models.families.ltx.video_network import LtxInputs, LtxVideo, video_shape
from safelight.models.inputs import WrongConditioning
from safelight.models.miniatures.writing import random_weights, write_miniature
from safelight.models.weights import UnknownWeights
from safelight.nodes.conditioning.ltxv_frames import UnfitFrames

NAME = "ltx-video-2b-v0.9.safetensors"


def link(call: str, index: int = 0) -> list[Any]:
    return [call, index]


def graph(**extra: Any) -> Graph:
    """From text to a film of 9 frames, as the official template does it."""
    return {
        "loaded": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": NAME}},
        "clip": {"class_type": "CLIPLoader", "inputs": {"clip_name": "t5xxl_fp16.safetensors", "type": "ltxv"}},
        "text": {"class_type": "CLIPTextEncode", "inputs": {"text": "a (red:1.2) horse", "clip": link("clip")}},
        "empty": {
            "class_type": "EmptyLTXVLatentVideo",
            "inputs": {"width": 96, "height": 64, "length": 9, "batch_size": 1},
        },
        "conditioned": {
            "class_type": "LTXVConditioning",
            "inputs": {"positive": link("text"), "negative": link("text"), "frame_rate": 24.0},
        },
        "image": {
            "class_type": "EmptyImage",
            "inputs": {"width": 80, "height": 70, "batch_size": 1, "color": 0xFF8000},
        },
        **extra,
    }


def sampled(conditioning: str, latent: tuple[str, int]) -> Graph:
    return {
        "sigmas": {
            "class_type": "LTXVScheduler",
            "inputs": {
                "steps": 2,
                "max_shift": 2.05,
                "base_shift": 0.95,
                "stretch": True,
                "terminal": 0.1,
                "latent": [*latent],
            },
        },
        "sampler": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
        "sampled": {
            "class_type": "SamplerCustom",
            "inputs": {
                "model": link("loaded"),
                "add_noise": True,
                "noise_seed": 4,
                "cfg": 3.0,
                "positive": link(conditioning),
                "negative": link(conditioning, 1),
                "sampler": link("sampler"),
                "sigmas": link("sigmas"),
                "latent_image": [*latent],
            },
        },
    }


def decoded(latent: tuple[str, int] = ("sampled", 0)) -> Graph:
    return {"film": {"class_type": "VAEDecode", "inputs": {"samples": [*latent], "vae": link("loaded", 2)}}}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ltx")
    list(write_miniature("ltx-video", folder / "models"))
    return folder


def run(root: Path, graph: Graph) -> dict[str, tuple[Any, ...]]:
    with FolderContext(root).running():
        return run_graph(graph)


@pytest.mark.slow
def test_a_film_from_text(root: Path) -> None:
    made = run(root, graph() | sampled("conditioned", ("empty", 0)) | decoded())
    (film,) = made["film"]
    assert film.shape == (9, 64, 96, 3)
    assert film.std() > 0.01
    (text,) = made["text"]
    assert text[0][0].shape == (1, 128, 256)
    assert int(text[0][1]["attention_mask"].sum()) < 20
    again = run(root, graph() | sampled("conditioned", ("empty", 0)) | decoded())
    assert torch.equal(again["film"][0], film)


@pytest.mark.slow
def test_a_film_that_begins_with_an_image(root: Path) -> None:
    start: Graph = {
        "start": {
            "class_type": "LTXVImgToVideo",
            "inputs": {
                "positive": link("conditioned"),
                "negative": link("conditioned", 1),
                "vae": link("loaded", 2),
                "image": link("image"),
                "width": 96,
                "height": 64,
                "length": 17,
                "batch_size": 1,
                "strength": 1.0,
            },
        }
    }
    made = run(root, graph() | start | sampled("start", ("start", 2)) | decoded())
    latent = made["start"][2]
    assert latent["noise_mask"].flatten().tolist() == [0.0, 1.0, 1.0]
    samples = made["sampled"][0]["samples"]
    assert torch.allclose(samples[:, :, :1], latent["samples"][:, :, :1], atol=1e-5)
    assert not torch.allclose(samples[:, :, 1:], latent["samples"][:, :, 1:], atol=1e-2)
    assert made["film"][0].shape == (17, 64, 96, 3)


@pytest.mark.slow
def test_guides_are_appended_and_cropped(root: Path) -> None:
    guided: Graph = {
        name: {
            "class_type": "LTXVAddGuide",
            "inputs": {
                "positive": link(before),
                "negative": link(before, 1),
                "vae": link("loaded", 2),
                "latent": [*latent],
                "image": link("image"),
                "frame_idx": frame,
                "strength": 0.75,
            },
        }
        for name, before, latent, frame in (
            ("first", "conditioned", ("empty", 0), 0),
            ("second", "first", ("first", 2), -1),
        )
    }
    cropped: Graph = {
        "cropped": {
            "class_type": "LTXVCropGuides",
            "inputs": {"positive": link("second"), "negative": link("second", 1), "latent": link("sampled")},
        }
    }
    made = run(root, graph() | guided | sampled("second", ("second", 2)) | cropped | decoded(("cropped", 2)))
    positive, _, latent = made["second"]
    assert latent["samples"].shape == (1, 128, 4, 2, 3)
    assert latent["noise_mask"].flatten().tolist() == [1.0, 1.0, 0.25, 0.25]
    spans = positive[0][1]["keyframe_idxs"]
    assert spans.shape == (1, 3, 12, 2)
    assert spans[0, 0, :, 0].tolist() == [0] * 6 + [8] * 6  # the last of 9 frames
    assert made["film"][0].shape == (9, 64, 96, 3)


@pytest.mark.slow
def test_unfit_frames_and_latents_are_refused(root: Path) -> None:
    def inplace(**inputs: Any) -> Graph:
        given = {"vae": link("loaded", 2), "image": link("image"), "latent": link("empty"), "strength": 1.0}
        return graph(inplace={"class_type": "LTXVImgToVideoInplace", "inputs": given | inputs})

    long = {"class_type": "EmptyImage", "inputs": {"width": 96, "height": 64, "batch_size": 17, "color": 0}}
    wrong = {"class_type": "EmptyLatentImage", "inputs": {"width": 96, "height": 64, "batch_size": 1}}
    with pytest.raises(UnfitFrames, match="the image has 17 frames, but the latent has 9"):
        run(root, inplace(image=link("long")) | {"long": long})
    with pytest.raises(UnfitFrames, match="2 dimensions besides channels; expected a video's"):
        run(root, inplace(latent=link("wrong")) | {"wrong": wrong})
    with pytest.raises(UnfitFrames, match="not one of LTX-Video"):
        run(root, inplace(vae=None))
    made = run(root, inplace(bypass=True))
    assert made["inplace"][0] is made["empty"][0]


def test_depth_and_width_are_those_of_the_file(tmp_path: Path) -> None:
    with torch.device("meta"):
        module = LtxVideo(VIDEO)
    weights = random_weights(module)
    assert video_shape({name: value.shape for name, value in weights.items()}, {}) == VIDEO
    del weights["transformer_blocks.1.ff.net.2.weight"], weights["caption_projection.linear_1.weight"]
    save_file(weights, tmp_path / "w.safetensors")
    with pytest.raises(UnknownWeights, match=r"'w.safetensors' is an LTX model without 'caption_projection"):
        load_diffusion_model(tmp_path / "w.safetensors")


def test_another_text_encoder_is_named(tmp_path: Path) -> None:
    with torch.device("meta"):
        module = LtxVideo(VIDEO)
    save_file(random_weights(module), tmp_path / "w.safetensors")
    model = load_diffusion_model(tmp_path / "w.safetensors")
    shape, device = torch.Size((1, 128, 2, 2, 2)), torch.device("cpu")
    with pytest.raises(WrongConditioning, match=r"needs embeddings with 256 features \(of T5 XXL; .* 'ltxv'\)"):
        model.network.prepare_inputs(torch.zeros(1, 5, 99), {}, shape=shape, device=device)
    inputs = model.network.prepare_inputs(torch.zeros(1, 5, 256), {"frame_rate": 0}, shape=shape, device=device)
    assert isinstance(inputs, LtxInputs)
    assert inputs.frame_rate == 25.0


def test_equal_timesteps_are_computed_once() -> None:
    made = Timesteps.of(torch.tensor([[0.0, 5.0, 5.0], [5.0, 0.0, 0.0]]))
    assert made.values.tolist() == [0.0, 5.0]
    assert made.index.tolist() == [[0, 1, 1], [1, 0, 0]]


def test_the_first_frame_is_one_frame_long_only_in_causal_positions() -> None:
    def frames(*, is_causal: bool) -> list[list[float]]:
        spans = video_spans(2, 1, 1, scale=(8, 32, 32), is_causal=is_causal, device=torch.device("cpu"))
        return spans[0, 0].tolist()

    assert frames(is_causal=True) == [[0, 1], [1, 9]]
    assert frames(is_causal=False) == [[0, 8], [8, 16]]


def test_features_left_over_by_the_axes_are_not_turned() -> None:
    spans = torch.rand(1, 3, 5, 2)
    turns = Positions().turns(spans, (20, 2048, 2048), width=64, heads=2)
    assert turns.shape == (1, 2, 5, 16, 2)
    assert torch.equal(turns[0, 0, :, :2], torch.tensor([1.0, 0.0]).expand(5, 2, 2))


def test_the_vae_of_a_checkpoint_is_found(root: Path) -> None:
    from safelight.models.checkpoint import load_checkpoint

    found = load_checkpoint(root / "models" / "checkpoints" / NAME)
    assert isinstance(found.autoencoder, LtxAutoencoder)
    assert found.text is None
