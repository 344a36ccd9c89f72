"""The vocoder of LTX-2.3: one makes a waveform at 16 kHz, and a second one, from its spectrogram, the frequencies that
are missing at 48 kHz."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from safelight.models.autoencoder.vocoder_module import Vocoder, VocoderShape, vocoder_shape

RATIO = 3
"""Of the sample rates."""
QUIETEST = 1e-5
WIDTH, ROLLOFF = 6, 0.99
"""Of the filter that enlarges the first waveform: a sinc under a Hann window, as torchaudio's."""


@dataclass(frozen=True)
class BandwidthShape:
    """``window``: samples that a column of the spectrogram sees; ``bands``: of it."""

    first: VocoderShape
    second: VocoderShape
    window: int
    bands: int

    @property
    def sides(self) -> int:
        return self.second.sides

    @property
    def samples(self) -> int:
        """Per column of the first spectrogram, at the higher rate."""
        return self.first.samples * RATIO

    @property
    def hop(self) -> int:
        """Samples of the first waveform per column of its spectrogram."""
        return self.second.samples // RATIO


def bandwidth_shape(shapes: Mapping[str, torch.Size]) -> BandwidthShape:
    """Raises :class:`KeyError` if a weight is missing."""

    def below(prefix: str) -> dict[str, torch.Size]:
        return {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}

    return BandwidthShape(
        first=vocoder_shape(below("vocoder.")),
        second=vocoder_shape(below("bwe_generator.")),
        window=shapes["mel_stft.stft_fn.forward_basis"][2],
        bands=shapes["mel_stft.mel_basis"][0],
    )


class BandwidthVocoder(nn.Module):
    def __init__(self, shape: BandwidthShape) -> None:
        super().__init__()
        self.shape = shape
        self.vocoder = Vocoder(shape.first)
        self.bwe_generator = Vocoder(shape.second)
        self.mel_stft = _Spectrogram(shape)

    def forward(self, spectrogram: torch.Tensor) -> torch.Tensor:
        """``[B, sides, columns, bands]`` to waveforms ``[B, sides, samples]``."""
        low = self.vocoder(spectrogram)
        length = low.shape[-1]
        low = functional.pad(low, (0, -length % self.shape.hop))
        columns = self.mel_stft(low.flatten(0, 1)).reshape(*low.shape[:2], self.shape.bands, -1)
        missing = self.bwe_generator(columns.transpose(2, 3))
        made: torch.Tensor = (missing + enlarged(low)).clamp(-1, 1)[..., : length * RATIO]
        return made


class _Transform(nn.Module):
    """The Fourier transform under a window, as a convolution whose kernels are in the file."""

    def __init__(self, window: int) -> None:
        super().__init__()
        for name in ("forward_basis", "inverse_basis"):
            self.register_buffer(name, torch.empty(window + 2, 1, window))


class _Spectrogram(nn.Module):
    def __init__(self, shape: BandwidthShape) -> None:
        super().__init__()
        self.stft_fn = _Transform(shape.window)
        self.register_buffer("mel_basis", torch.empty(shape.bands, shape.window // 2 + 1))
        self.hop, self.window = shape.hop, shape.window

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        """``[B, samples]`` to the logarithms of magnitudes ``[B, bands, columns]``, each of earlier samples only."""
        padded = functional.pad(waveform[:, None], (max(self.window - self.hop, 0), 0))
        basis = self.stft_fn.get_buffer("forward_basis").to(waveform)
        real, imaginary = functional.conv1d(padded, basis, stride=self.hop).chunk(2, dim=1)
        magnitudes = (real.square() + imaginary.square()).sqrt()
        return (self.get_buffer("mel_basis").to(waveform) @ magnitudes).clamp_min(QUIETEST).log()


def enlarged(waveform: torch.Tensor) -> torch.Tensor:
    """``[B, sides, samples]`` at the higher rate, without new frequencies."""
    sides = waveform.shape[1]
    edge = math.ceil(WIDTH / ROLLOFF)
    taps = 2 * edge * RATIO + 1
    times = (torch.arange(taps, device=waveform.device) / RATIO - edge) * ROLLOFF
    window = (times.clamp(-WIDTH, WIDTH) * math.pi / WIDTH / 2).cos().square()
    kernel = (times.sinc() * window * ROLLOFF / RATIO).to(waveform).expand(sides, 1, -1)
    padded = functional.pad(waveform, (edge, edge), mode="replicate")
    made = RATIO * functional.conv_transpose1d(padded, kernel, stride=RATIO, groups=sides)
    return made[..., 2 * edge * RATIO : -(taps - RATIO)]
