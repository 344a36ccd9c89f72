"""The files that templates load: small ones, under the names that they ask for."""

import io
import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any

import av
import numpy as np
from PIL import Image

WIDTH, HEIGHT, FRAMES, RATE = 96, 64, 17, 16
SAMPLES = 44_100
SECONDS = 2

_PICTURES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_FILMS = (".mp4", ".webm", ".mov")
_SOUNDS = (".mp3", ".wav", ".flac", ".m4a", ".opus", ".ogg")


def named_files(graph: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, bytes]]:
    """The name and the contents of each file that a call of the graph loads."""
    for call in graph.values():
        if not call["class_type"].startswith("Load"):
            continue
        for value in call["inputs"].values():
            if isinstance(value, str) and (made := _file(PurePosixPath(value).suffix.lower())):
                yield value, made


def _file(suffix: str) -> bytes | None:
    if suffix in _PICTURES:
        out = io.BytesIO()
        _picture(0).save(out, _PICTURES[suffix])
        return out.getvalue()
    if suffix in _FILMS:
        return _film()
    return _sound() if suffix in _SOUNDS else None


def _picture(shift: int) -> Image.Image:
    """A bright disc on a gradient; ``shift``: of the disc, in pixels."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    pixels = np.stack([x * 255 // WIDTH, y * 255 // HEIGHT, np.full_like(x, 96)], axis=-1)
    pixels[(x - 40 - shift) ** 2 + (y - 32) ** 2 < 20**2] = (240, 220, 40)
    return Image.fromarray(pixels.astype(np.uint8))


def _film() -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = container.add_stream("aac", rate=SAMPLES, layout="stereo")
        for number in range(FRAMES):
            frame = av.VideoFrame.from_image(_picture(number))
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        for packet in audio.encode(_tone("fltp")):
            container.mux(packet)
        container.mux(audio.encode())
    return out.getvalue()


def _sound() -> bytes:
    """A WAV file under any name: what it is, its bytes tell."""
    out = io.BytesIO()
    with av.open(out, "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=SAMPLES, layout="stereo")
        container.mux(stream.encode(_tone("s16")))
        container.mux(stream.encode())
    return out.getvalue()


def _tone(format: str) -> av.AudioFrame:
    times = np.arange(SAMPLES * SECONDS) / SAMPLES
    wave = 0.3 * np.sin(2 * math.pi * 440 * times)
    if format == "s16":
        samples = np.repeat((wave * 32767).astype(np.int16)[None], 2, axis=0).T.reshape(1, -1)
    else:
        samples = np.stack([wave, wave]).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(samples, format=format, layout="stereo")
    frame.sample_rate, frame.pts = SAMPLES, 0
    return frame
