"""Small videos to test with."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from safelight.media.audio import Sound
from safelight.media.video import H264_MP4, VideoFormat, av1_webm, write_video

__all__ = ["H264_MP4", "av1_webm", "film", "frame_number", "grey_frames", "tone"]


def grey_frames(count: int, *, width: int = 64, height: int = 48) -> Iterator[np.ndarray]:
    """Frame ``i`` is plain gray of level ``20 + 7 i``, so that a decoded frame shows its number."""
    for index in range(count):
        yield np.full((height, width, 3), 20 + 7 * index, dtype=np.uint8)


def frame_number(pixels: np.ndarray) -> int:
    return round((float(pixels.mean()) - 20) / 7)


def tone(seconds: float, *, rate: int = 44100, channels: int = 2, hertz: float = 441.0) -> Sound:
    wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return Sound(np.tile(wave.astype(np.float32), (channels, 1)), rate)


def film(
    path: Path,
    *,
    count: int = 30,
    rate: Fraction = Fraction(30),
    sound: Sound | None = None,
    format: VideoFormat = H264_MP4,
) -> Path:
    write_video(path, grey_frames(count), frame_rate=rate, format=format, sound=sound)
    return path
