"""The vocoder of LTX-2.3 against diffusers, and the mel scale against transformers."""

import torch

from safelight.models.autoencoder.bandwidth_module import BandwidthShape, BandwidthVocoder, bandwidth_shape
from safelight.models.autoencoder.mel import filters, log_mel, quieted
from safelight.models.autoencoder.vocoder_module import VocoderShape

SHAPE = BandwidthShape(
    VocoderShape(128, 64, 2, ((11, 5), (4, 2), (4, 2), (4, 2), (4, 2), (4, 2)), kernels=(3, 7, 11), is_periodic=True),
    VocoderShape(128, 64, 2, ((12, 6), (11, 5), (4, 2), (4, 2), (4, 2)), kernels=(3, 7, 11), is_periodic=True),
    window=512,
    bands=64,
)


@torch.no_grad()
def test_equals_diffusers() -> None:
    from diffusers.pipelines.ltx2.vocoder import LTX2VocoderWithBWE

    ours = BandwidthVocoder(SHAPE)
    generator = torch.Generator().manual_seed(1)
    weights = {
        name: torch.randn(value.shape, generator=generator)
        * (0.5 * value[0].numel() ** -0.5 if value.dim() > 1 else 0.1)
        for name, value in ours.state_dict().items()
    }
    assert bandwidth_shape({name: value.shape for name, value in weights.items()}) == SHAPE
    theirs = LTX2VocoderWithBWE(hidden_channels=64, bwe_hidden_channels=64).eval()
    renamed = {}
    for own_name in weights:
        name = own_name
        for own, other in (
            ("conv_pre", "conv_in"),
            ("conv_post", "conv_out"),
            ("act_post", "act_out"),
            ("ups.", "upsamplers."),
            ("resblocks", "resnets"),
            ("lowpass.", ""),
        ):
            name = name.replace(own, other)
        if name.endswith("filter"):
            weights[own_name] = theirs.state_dict()[name]
        renamed[name] = weights[own_name]
    ours.load_state_dict(weights)
    theirs.load_state_dict(renamed)
    spectrogram = torch.randn(2, 2, 3, 64, generator=generator)
    made, expected = ours(spectrogram), theirs(spectrogram)
    assert made.shape == expected.shape == (2, 2, 3 * SHAPE.samples)
    assert float((made - expected).norm() / expected.norm()) < 1e-5


def test_bands_are_those_of_transformers() -> None:
    from transformers.audio_utils import mel_filter_bank

    expected = mel_filter_bank(513, 64, 0.0, 8000.0, 16000, norm="slaney", mel_scale="slaney")
    assert torch.allclose(filters(513, rate=16000, bands=64), torch.from_numpy(expected).float(), atol=1e-6)


def test_a_tone_is_loudest_in_its_band() -> None:
    times = torch.arange(16000) / 16000
    tone = (2 * torch.pi * 1000 * times).sin()[None, None]
    columns = log_mel(tone, rate=16000, bands=64, hop=160, window=1024)
    assert columns.shape == (1, 1, 101, 64)
    center = int(filters(513, rate=16000, bands=64)[64].argmax())  # the frequency of 1000 Hz is number 64
    assert int(columns[0, 0, 50].argmax()) == center


def test_loud_audio_is_made_quieter_and_its_constant_part_is_removed() -> None:
    waveform = torch.randn(1, 2, 500) + 3
    made = quieted(waveform)
    assert abs(float(made.abs().max()) - 0.5) < 1e-3
    assert made.mean(dim=2).abs().max() < 1e-6
    quiet = quieted(torch.randn(1, 2, 500).clamp(-1, 1) * 0.1)
    assert float(quiet.abs().max()) < 0.2
