"""Audio: files to samples and back, and resampling. Knows no torch and no node."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import chain
from math import gcd
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from safelight.media.container import audio_track, opened_container
from safelight.media.media_errors import MediaTooLarge, UnreadableMedia
from safelight.media.metadata import NO_METADATA, Metadata

MAX_SAMPLES = 2**29
"""Samples of all channels together: 2 GiB as float32, 100 minutes of stereo at 44.1 kHz."""


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """``samples``: float32 ``[channels, n]`` in -1..1; ``rate`` in Hz."""

    samples: NDArray[np.float32]
    rate: int


@dataclass(frozen=True, slots=True)
class SoundFormat:
    """How a file is encoded. ``rates``: the only sample rates that the codec accepts, ascending; empty if any is
    accepted."""

    extension: str
    codec: str
    sample_format: str
    bit_rate: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    rates: tuple[int, ...] = ()


FLAC = SoundFormat(".flac", "flac", "s16")
_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)


AAC = SoundFormat(".m4a", "aac", "fltp", 192_000)
OPUS = SoundFormat(".opus", "libopus", "flt", 128_000, {}, _OPUS_RATES)


def mp3(quality: str) -> SoundFormat:
    """``V0`` (the best variable bit rate) or a constant bit rate such as ``128k``."""
    if quality == "V0":
        # The encoder takes the quality on ffmpeg's fixed-point scale; 0 is V0.
        return SoundFormat(".mp3", "libmp3lame", "fltp", None, {"flags": "+qscale", "global_quality": "0"}, _MP3_RATES)
    return SoundFormat(".mp3", "libmp3lame", "fltp", _bits(quality), {}, _MP3_RATES)


def opus(quality: str) -> SoundFormat:
    return replace(OPUS, bit_rate=_bits(quality))


def read_audio(path: Path, *, start_s: float = 0.0, duration_s: float = 0.0) -> Sound | None:
    """Read the first audio track of a file, from ``start_s`` for ``duration_s`` (0: to the end); ``None`` without a
    track.

    Raises :class:`UnreadableMedia` and :class:`MediaTooLarge`."""
    with opened_container(path) as container:
        stream = audio_track(container)
        return None if stream is None else _decoded(container, stream, start_s=start_s, duration_s=duration_s)


def write_audio(path: Path, sound: Sound, *, format: SoundFormat, metadata: Metadata = NO_METADATA) -> None:
    """Write audio with 1, 2 or 6 channels, at the nearest sample rate that the format accepts."""
    with av.open(str(path), mode="w") as container:
        for name, text in metadata.texts().items():
            container.metadata[name] = text
        SoundTrack(container, sound, format).end(whole=True)


class SoundTrack:
    """Write the audio track of a container along with other tracks. Mutable: the position in the samples."""

    def __init__(self, container: Any, sound: Sound, format: SoundFormat) -> None:
        self._rate = _nearest_rate(sound.rate, format.rates)
        self._samples = np.clip(resample(sound.samples, sound.rate, self._rate), -1, 1)
        self._layout = _layout(len(self._samples))
        self._container = container
        self._stream = container.add_stream(
            format.codec, rate=self._rate, layout=self._layout, options=dict(format.options)
        )
        self._stream.codec_context.format = format.sample_format
        if format.bit_rate is not None:
            self._stream.bit_rate = format.bit_rate
        self._resampler = av.AudioResampler(format=format.sample_format, layout=self._layout, rate=self._rate)
        self._written = 0

    def write_until(self, time_s: float) -> None:
        """Write the samples before ``time_s``, in pieces of at most a second."""
        end = min(round(time_s * self._rate), self._samples.shape[1])
        while self._written < end:
            size = min(self._rate, end - self._written)
            chunk = np.ascontiguousarray(self._samples[:, self._written : self._written + size])
            frame = av.AudioFrame.from_ndarray(chunk, format="fltp", layout=self._layout)
            frame.sample_rate = self._rate
            frame.pts = self._written
            frame.time_base = Fraction(1, self._rate)
            self._encode(frame)
            self._written += size

    def end(self, *, whole: bool) -> None:
        """Finish the track; ``whole`` writes the remaining samples first."""
        if whole:
            self.write_until(self._samples.shape[1] / self._rate)
        self._encode(None)
        self._container.mux(self._stream.encode(None))

    def _encode(self, frame: Any) -> None:
        for converted in self._resampler.resample(frame):
            self._container.mux(self._stream.encode(converted))


def resample(samples: NDArray[np.float32], rate: int, target: int) -> NDArray[np.float32]:
    """Polyphase, with scipy's Kaiser-windowed filter. ``[channels, n]`` to ``[channels, ceil(n * target / rate)]``."""
    if rate == target:
        return samples
    divisor = gcd(rate, target)
    resampled: NDArray[np.float32] = resample_poly(samples, target // divisor, rate // divisor, axis=1)
    return resampled.astype(np.float32)


def _decoded(container: Any, stream: Any, *, start_s: float, duration_s: float) -> Sound:
    rate = stream.codec_context.rate
    first = round(start_s * rate)
    last = first + round(duration_s * rate) if duration_s else None
    chunks: list[NDArray[np.float32]] = []
    total, begin = 0, 0
    for samples in _chunks(container, stream, rate):
        if last is not None and begin >= last:
            break
        kept = samples[:, max(0, first - begin) : None if last is None else last - begin]
        begin += samples.shape[1]
        total += kept.size
        if total > MAX_SAMPLES:
            raise MediaTooLarge(f"the audio has more than {MAX_SAMPLES:,} samples")
        chunks.append(kept)
    if not chunks:
        return Sound(np.zeros((stream.codec_context.channels, 0), dtype=np.float32), rate)
    if len({len(c) for c in chunks}) > 1:
        raise UnreadableMedia("the audio changes its number of channels")
    return Sound(np.concatenate(chunks, axis=1), rate)


def _chunks(container: Any, stream: Any, rate: int) -> Iterator[NDArray[np.float32]]:
    """Chunks of one layout and rate throughout, even if a damaged stream changes its own."""
    resampler = av.AudioResampler(format="fltp", layout=stream.codec_context.layout, rate=rate)
    for frame in chain(container.decode(stream), [None]):
        for converted in resampler.resample(frame):
            yield np.asarray(converted.to_ndarray(), dtype=np.float32)


def _layout(channels: int) -> str:
    layouts = {1: "mono", 2: "stereo", 6: "5.1"}
    if channels not in layouts:
        raise ValueError(f"cannot save audio with {channels} channels: use 1, 2 or 6")
    return layouts[channels]


def _nearest_rate(rate: int, rates: tuple[int, ...]) -> int:
    """The lowest of ``rates`` that loses nothing, else the highest."""
    if not rates or rate in rates:
        return rate
    return next((r for r in rates if r > rate), rates[-1])


def _bits(quality: str) -> int:
    return int(quality.removesuffix("k")) * 1000
