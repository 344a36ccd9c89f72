"""Stable Audio Open: a graph on miniature weights, from text to a file; its numbers are compared in tests/golden."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.nodes.context import FolderContext
from tests.nodes.graphs import Graph, run_graph

from safelight.media.audio import read_audio
from safelight.models.checkpoint import load_checkpoint, load_diffusion_model
from safelight.models.families.stable_audio.miniature_files import NETWORK
from safelight.models.families.stable_audio.network import StableAudio, StableAudioInputs, stable_audio_shape
from safelight.models.inputs import WrongConditioning
from safelight.models.miniatures.writing import random_weights, write_miniature
from safelight.models.sampling.sample import LatentMismatch, fitting
from safelight.nodes.audio.save_audio import SaveAudioAdvanced

NAME = "stable-audio-open-1.0.safetensors"
GRAPH: Graph = {
    "loaded": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": NAME}},
    "clip": {"class_type": "CLIPLoader", "inputs": {"clip_name": "t5-base.safetensors", "type": "stable_audio"}},
    "text": {"class_type": "CLIPTextEncode", "inputs": {"text": "a (loud:1.2) drum", "clip": ["clip", 0]}},
    "timed": {
        "class_type": "ConditioningStableAudio",
        "inputs": {"positive": ["text", 0], "negative": ["text", 0], "seconds_start": 0.0, "seconds_total": 1.0},
    },
    "empty": {"class_type": "EmptyLatentAudio", "inputs": {"seconds": 1.0, "batch_size": 1}},
    "sampled": {
        "class_type": "KSampler",
        "inputs": {
            "model": ["loaded", 0],
            "seed": 3,
            "steps": 2,
            "cfg": 5.0,
            "sampler_name": "euler",
            "scheduler": "exponential",
            "positive": ["timed", 0],
            "negative": ["timed", 1],
            "latent_image": ["empty", 0],
            "denoise": 1.0,
        },
    },
    "sound": {"class_type": "VAEDecodeAudio", "inputs": {"samples": ["sampled", 0], "vae": ["loaded", 2]}},
}


@pytest.mark.slow
def test_a_sound_from_text_to_file(tmp_path: Path) -> None:
    list(write_miniature("stable-audio-open", tmp_path / "models"))
    with FolderContext(tmp_path).running() as run:
        made = run_graph(GRAPH)
        SaveAudioAdvanced.execute(made["sound"][0], "audio/sound", {"format": "flac"})
    assert made["empty"][0]["samples"].shape == (1, 64, 22)
    assert made["sound"][0]["waveform"].shape == (1, 2, 22 * 2048)
    (file,) = run.saved
    sound = read_audio(file.path)
    assert sound is not None
    assert (sound.rate, sound.samples.shape) == (44100, (2, 22 * 2048))


def checkpoint(folder: Path) -> Path:
    list(write_miniature("stable-audio-open", folder))
    return folder / "checkpoints" / NAME


def test_a_checkpoint_has_network_times_and_autoencoder(tmp_path: Path) -> None:
    found = load_checkpoint(checkpoint(tmp_path))
    assert found.model.family == "stable_audio"
    assert found.autoencoder is not None
    assert stable_audio_shape(found.model.network.shapes) == NETWORK


def test_times_are_those_of_the_node_or_of_the_latent(tmp_path: Path) -> None:
    model = load_diffusion_model(checkpoint(tmp_path))
    shape, device = torch.Size((1, 64, 216)), torch.device("cpu")
    inputs = model.network.prepare_inputs(torch.zeros(1, 5, 256), {}, shape=shape, device=device)
    assert isinstance(inputs, StableAudioInputs)
    assert (float(inputs.start), float(inputs.total)) == (0.0, 10.0)
    options = {"seconds_start": 2.0, "seconds_total": 30.0}
    inputs = model.network.prepare_inputs(torch.zeros(1, 5, 256), options, shape=shape, device=device)
    assert (float(inputs.start), float(inputs.total)) == (2.0, 30.0)
    with pytest.raises(WrongConditioning, match=r"256 features \(of T5 base\), but the conditioning has 99"):
        model.network.prepare_inputs(torch.zeros(1, 5, 99), {}, shape=shape, device=device)


def test_an_image_latent_is_refused(tmp_path: Path) -> None:
    model = load_diffusion_model(checkpoint(tmp_path))
    with pytest.raises(LatentMismatch, match="the model works on audio, but the latent has 2 dimensions"):
        fitting(torch.zeros(1, 4, 8, 8), model.latent_format)


def test_the_network_alone_has_its_own_names(tmp_path: Path) -> None:
    with torch.device("meta"):
        module = StableAudio(NETWORK)
    save_file(random_weights(module), tmp_path / "w.safetensors")
    assert load_diffusion_model(tmp_path / "w.safetensors").family == "stable_audio"
