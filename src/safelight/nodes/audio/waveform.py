"""The value of type ``AUDIO``, ``{"waveform": [B, channels, n] in -1..1, "sample_rate": Hz}``, and its conversion."""

from typing import Any

import torch

from safelight.media.audio import Sound, resample
from safelight.nodes.files.pixels import float_array

Audio = dict[str, Any]


def audio_of(sound: Sound | None) -> Audio | None:
    if sound is None:
        return None
    return {"waveform": torch.from_numpy(sound.samples).unsqueeze(0), "sample_rate": sound.rate}


def sound_of(audio: Audio, *, index: int = 0) -> Sound:
    """One clip of the batch."""
    return Sound(float_array(audio["waveform"][index]), int(audio["sample_rate"]))


def at_rate(audio: Audio, rate: int) -> torch.Tensor:
    """The waveform at another sample rate."""
    waveform: torch.Tensor = audio["waveform"]
    if int(audio["sample_rate"]) == rate:
        return waveform
    resampled = [torch.from_numpy(resample(float_array(w), int(audio["sample_rate"]), rate)) for w in waveform]
    return torch.stack(resampled)


def with_channels(waveform: torch.Tensor, channels: int) -> torch.Tensor:
    """Repeat mono to ``channels``. Raises :class:`ValueError` for any other change."""
    if waveform.shape[1] == channels:
        return waveform
    if waveform.shape[1] != 1:
        raise ValueError(f"cannot combine audio of {waveform.shape[1]} and {channels} channels")
    return waveform.expand(-1, channels, -1)
