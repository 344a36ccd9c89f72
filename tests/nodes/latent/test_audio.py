"""Audio to latents and back, and latents of a video with its audio."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.models.autoencoder.test_audio_autoencoder import state

from safelight.models.checkpoint import load_autoencoder
from safelight.models.nested import NestedTensor
from safelight.nodes.latent.audio import NotAudio, VAEDecodeAudio, VAEEncodeAudio
from safelight.nodes.latent.audio_video import LTXVConcatAVLatent, LTXVSeparateAVLatent, NotCombined
from safelight.nodes.latent.autoencoder import NoAutoencoder, VAEDecode


@pytest.fixture
def vae(tmp_path: Path) -> Any:
    save_file(state(), tmp_path / "vae.safetensors")
    return load_autoencoder(tmp_path / "vae.safetensors")


def only(output: Any) -> Any:
    (value,) = output.values
    return value


def test_audio_goes_to_a_latent_and_back(vae: Any) -> None:
    audio = {"waveform": torch.randn(1, 2, 600), "sample_rate": 44100}
    latent = only(VAEEncodeAudio.execute(audio, vae))
    assert latent["samples"].shape == (1, 3, 100)
    decoded = only(VAEDecodeAudio.execute(latent, vae))
    assert decoded["sample_rate"] == 44100
    assert decoded["waveform"].shape[:2] == (1, 2)


def test_audio_of_another_rate_is_resampled(vae: Any) -> None:
    audio = {"waveform": torch.randn(1, 2, 600), "sample_rate": 22050}
    assert only(VAEEncodeAudio.execute(audio, vae))["samples"].shape == (1, 3, 200)


def test_loud_audio_is_made_quieter_and_quiet_audio_is_kept(vae: Any) -> None:
    latent = torch.randn(1, 3, 50)
    loud = only(VAEDecodeAudio.execute({"samples": latent * 100, "sample_rate": 8000}, vae))
    assert loud["sample_rate"] == 8000
    raw = vae.decode_audio(latent * 100)
    deviation = float(raw.std())
    assert deviation > 0.2
    torch.testing.assert_close(loud["waveform"], raw / (5 * deviation))
    assert torch.equal(only(VAEDecodeAudio.execute({"samples": latent}, Quiet()))["waveform"], latent * 0.1)


class Quiet:
    sample_rate = 8000

    def decode_audio(self, latent: torch.Tensor) -> torch.Tensor:
        return latent * 0.1

    def encode_audio(self, waveform: torch.Tensor) -> torch.Tensor:
        return waveform * 10


def test_of_a_combined_latent_the_audio_is_decoded(vae: Any) -> None:
    video, sound = {"samples": torch.zeros(1, 4, 2, 3, 3)}, {"samples": torch.randn(1, 3, 7), "type": "audio"}
    both = only(LTXVConcatAVLatent.execute(video, sound))
    alone = only(VAEDecodeAudio.execute(sound, vae))["waveform"]
    assert torch.equal(only(VAEDecodeAudio.execute(both, vae))["waveform"], alone)


def test_the_wrong_kind_of_vae_is_refused_by_name(vae: Any) -> None:
    with pytest.raises(NotAudio, match="the VAE is for images; expected one for audio"):
        VAEDecodeAudio.execute({"samples": torch.zeros(1, 3, 7)}, object())
    with pytest.raises(NoAutoencoder, match="the VAE is for audio; expected one for images"):
        VAEDecode.execute({"samples": torch.zeros(1, 3, 7)}, vae)
    with pytest.raises(NotAudio, match="no audio track"):
        VAEEncodeAudio.execute(None, vae)


def test_only_a_combined_latent_can_be_separated() -> None:
    with pytest.raises(NotCombined, match="LTXVConcatAVLatent"):
        LTXVSeparateAVLatent.execute({"samples": torch.zeros(1, 4, 2, 3, 3)})


def test_a_mask_set_after_combining_is_the_videos() -> None:
    both = {
        "samples": NestedTensor([torch.zeros(1, 4, 2, 3, 3), torch.zeros(1, 3, 7)]),
        "noise_mask": torch.ones(1, 3, 3),
    }
    video, sound = LTXVSeparateAVLatent.execute(both).values
    assert torch.equal(video["noise_mask"], both["noise_mask"])
    assert "noise_mask" not in sound
