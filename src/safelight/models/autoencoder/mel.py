"""Spectrograms with bands on the mel scale, as LTX-2's audio autoencoder was trained on."""

import math

import torch
from torch.nn import functional

LINEAR_HZ = 200.0 / 3
"""The mel scale of Slaney's "Auditory Toolbox" (1998): linear below 1000 Hz, then logarithmic."""
BREAK_HZ = 1000.0
STEP = math.log(6.4) / 27.0
QUIETEST = 1e-5


def log_mel(waveform: torch.Tensor, *, rate: int, bands: int, hop: int, window: int) -> torch.Tensor:
    """``[B, channels, samples]`` to the logarithms of magnitudes, ``[B, channels, columns, bands]``."""
    flat = waveform.flatten(0, 1)
    spectrum = torch.stft(
        flat, window, hop, window=torch.hann_window(window, device=flat.device), pad_mode="reflect", return_complex=True
    )
    magnitudes = spectrum.abs().transpose(1, 2) @ filters(window // 2 + 1, rate=rate, bands=bands).to(flat)
    return magnitudes.clamp_min(QUIETEST).log().reshape(*waveform.shape[:2], -1, bands)


def filters(frequencies: int, *, rate: int, bands: int) -> torch.Tensor:
    """Triangles of equal area, ``[frequencies, bands]``."""
    steps = torch.linspace(_mels(0.0), _mels(rate / 2), bands + 2)
    corners = torch.where(
        steps < BREAK_HZ / LINEAR_HZ,
        steps * LINEAR_HZ,
        BREAK_HZ * ((steps - BREAK_HZ / LINEAR_HZ) * STEP).exp(),
    )
    at = torch.linspace(0, rate // 2, frequencies)[:, None]
    rising = (at - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - at) / (corners[2:] - corners[1:-1])
    return torch.minimum(rising, falling).clamp_min(0) * (2.0 / (corners[2:] - corners[:-2]))


def _mels(frequency: float) -> float:
    if frequency < BREAK_HZ:
        return frequency / LINEAR_HZ
    return BREAK_HZ / LINEAR_HZ + math.log(frequency / BREAK_HZ) / STEP


def quieted(waveform: torch.Tensor, *, peak: float = 0.5) -> torch.Tensor:
    """Without a constant part, and at most ``peak`` loud."""
    centered = waveform - waveform.mean(dim=2, keepdim=True)
    loudest = centered.abs().max() + QUIETEST
    return centered * (loudest.clamp(max=peak) / loudest)


def padded(waveform: torch.Tensor, least: int) -> torch.Tensor:
    """With silence at the end, at least so long."""
    return functional.pad(waveform, (0, max(least - waveform.shape[-1], 0)))
