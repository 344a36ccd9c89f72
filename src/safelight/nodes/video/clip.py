"""The value of type ``VIDEO``: a file whose frames are read when they are needed, or frames in memory.

Method names are those that node packs call on ComfyUI's value.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from safelight.media.audio import Sound, read_audio
from safelight.media.media_errors import MediaTooLarge, report_as
from safelight.media.metadata import NO_METADATA, Metadata
from safelight.media.video import (
    H264_MP4,
    Frame,
    VideoInfo,
    copy_video,
    fits_mp4,
    probe,
    read_frames,
    write_video,
)
from safelight.models.autoencoder.film import Film
from safelight.nodes.audio.waveform import audio_of, sound_of
from safelight.nodes.files.pixels import byte_frames

MAX_CLIP_PIXELS = 2**31
"""Pixels of all frames when they are decoded: 24 GiB as float32 RGB, 34 s of 1080p at 30 frames per second."""


@dataclass(frozen=True, eq=False)
class VideoComponents:
    """``images``: ``[B, H, W, 3]`` in 0..1; ``audio``: the value of type ``AUDIO`` or ``None``."""

    images: Any
    """A tensor; in a :class:`FrameClip` also a :class:`safelight.models.autoencoder.film.Film`."""
    frame_rate: Fraction
    audio: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None


class Clip(ABC):
    """Law: ``get_components`` returns what ``save_to`` writes, up to the encoder's loss; neither changes the clip."""

    @abstractmethod
    def get_components(self) -> VideoComponents: ...

    @abstractmethod
    def get_dimensions(self) -> tuple[int, int]:
        """Width and height as shown."""

    @abstractmethod
    def get_frame_rate(self) -> Fraction: ...

    @abstractmethod
    def get_frame_count(self) -> int: ...

    @abstractmethod
    def get_duration(self) -> float:
        """Seconds."""

    @abstractmethod
    def trimmed(self, *, start_s: float, duration_s: float) -> Clip:
        """The part from ``start_s``, at most ``duration_s`` long (0: to the end)."""

    def as_trimmed(self, start_time: float = 0, duration: float = 0, strict_duration: bool = False) -> Clip | None:
        """ComfyUI's name for :meth:`trimmed`; with ``strict_duration`` it returns ``None`` if the video is too
        short."""
        if strict_duration and self.get_duration() < start_time + duration:
            return None
        return self.trimmed(start_s=start_time, duration_s=duration)

    def get_container_format(self) -> str:
        """The format that :meth:`save_to` writes."""
        return "mp4"

    def save_to(
        self,
        path: Path | str,
        format: str = "auto",
        codec: str = "auto",
        metadata: Metadata | Mapping[str, Any] | None = None,
    ) -> None:
        """Write an MP4 that browsers play; ``codec`` is ``h264``, or ``auto`` to keep the source's codec if possible.

        ``metadata`` may be a mapping of names to values. Raises :class:`ValueError` for another ``format``."""
        if format not in ("auto", "mp4"):
            raise ValueError(f"cannot save a video as {format!r}: use 'mp4'")
        if not isinstance(metadata, Metadata):
            metadata = Metadata(None, metadata) if metadata else NO_METADATA
        self._write(Path(path), codec=codec, metadata=metadata)

    @abstractmethod
    def _write(self, path: Path, *, codec: str, metadata: Metadata) -> None: ...


@dataclass(frozen=True)
class FileClip(Clip):
    """``path`` is one of the owner's files; ``start_s`` and ``duration_s`` select a part of it."""

    path: Path
    start_s: float = 0.0
    duration_s: float = 0.0
    max_pixels: int = MAX_CLIP_PIXELS
    name: str = ""
    """The user's name for the file, for errors; by default the name of ``path``."""

    def get_components(self) -> VideoComponents:
        info = self._probed()
        pixels = info.width * info.height * self._frame_count(info)
        if pixels > self.max_pixels:
            raise _too_large(self._frame_count(info), info.height, info.width, max_pixels=self.max_pixels)
        images = _stacked(self._frames(), expected=self._frame_count(info), max_pixels=self.max_pixels)
        audio = audio_of(self._sound()) if info.audio_codec else None
        return VideoComponents(images, info.frame_rate, audio)

    def get_dimensions(self) -> tuple[int, int]:
        info = self._probed()
        return info.width, info.height

    def get_frame_rate(self) -> Fraction:
        return self._probed().frame_rate

    def get_frame_count(self) -> int:
        return self._frame_count(self._probed())

    def get_duration(self) -> float:
        return self._duration_s(self._probed())

    def get_stream_source(self) -> str:
        return str(self.path)

    def trimmed(self, *, start_s: float, duration_s: float) -> FileClip:
        ours_s = self.duration_s and max(0.0, self.duration_s - start_s)
        return replace(self, start_s=self.start_s + start_s, duration_s=min(ours_s or duration_s, duration_s or ours_s))

    def _write(self, path: Path, *, codec: str, metadata: Metadata) -> None:
        info = self._probed()
        if fits_mp4(info) and codec in ("auto", info.codec) and not self.start_s and not self.duration_s:
            with self._named():
                copy_video(self.path, path, metadata=metadata)
            return
        sound = self._sound() if info.audio_codec else None
        write_video(path, self._frames(), frame_rate=info.frame_rate, format=H264_MP4, sound=sound, metadata=metadata)

    def _probed(self) -> VideoInfo:
        with self._named():
            return probe(self.path)

    def _frames(self) -> Iterator[Frame]:
        with self._named():
            yield from read_frames(self.path, start_s=self.start_s, duration_s=self.duration_s)

    def _sound(self) -> Sound | None:
        with self._named():
            return read_audio(self.path, start_s=self.start_s, duration_s=self.duration_s)

    def _named(self) -> AbstractContextManager[None]:
        return report_as(self.name or self.path.name, self.path)

    def _duration_s(self, info: VideoInfo) -> float:
        rest_s = max(0.0, info.duration_s - self.start_s)
        return min(rest_s, self.duration_s) if self.duration_s else rest_s

    def _frame_count(self, info: VideoInfo) -> int:
        if not self.start_s and not self.duration_s:
            return info.frame_count
        return math.ceil(round(self._duration_s(info) * info.frame_rate, 6))


@dataclass(frozen=True, eq=False)
class FrameClip(Clip):
    """Frames in memory, or of a film that is decoded when they are read."""

    components: VideoComponents

    def get_components(self) -> VideoComponents:
        images = self.components.images
        return replace(self.components, images=images.whole()) if isinstance(images, Film) else self.components

    def get_dimensions(self) -> tuple[int, int]:
        return self.components.images.shape[2], self.components.images.shape[1]

    def get_frame_rate(self) -> Fraction:
        return self.components.frame_rate

    def get_frame_count(self) -> int:
        return len(self.components.images)

    def get_duration(self) -> float:
        return float(len(self.components.images) / self.components.frame_rate)

    def trimmed(self, *, start_s: float, duration_s: float) -> FrameClip:
        """A time between frames selects the next frame, as in a file."""
        rate = self.components.frame_rate
        first = math.ceil(round(start_s * rate, 6))
        last = math.ceil(round((start_s + duration_s) * rate, 6)) if duration_s else None
        audio = self.components.audio
        if audio is not None:
            begin = round(start_s * audio["sample_rate"])
            end = begin + round(duration_s * audio["sample_rate"]) if duration_s else None
            audio = audio | {"waveform": audio["waveform"][..., begin:end]}
        return FrameClip(replace(self.components, images=self.components.images[first:last], audio=audio))

    def _write(self, path: Path, *, codec: str, metadata: Metadata) -> None:
        write_video(
            path,
            byte_frames(self.components.images, channels=3),
            frame_rate=self.components.frame_rate,
            format=H264_MP4,
            sound=None if self.components.audio is None else sound_of(self.components.audio),
            metadata=metadata,
        )


def _too_large(count: int, height: int, width: int, *, max_pixels: int) -> MediaTooLarge:
    return MediaTooLarge(
        f"{count} frames of {width} x {height} are more than can be decoded together ({max_pixels:,} pixels): trim the "
        "video first"
    )


def _stacked(frames: Iterator[Frame], *, expected: int, max_pixels: int) -> torch.Tensor:
    """Frames as floats in one tensor, filled as they are decoded, so that the 8-bit frames are never all in memory too.
    Raises :class:`MediaTooLarge` if there are more than the container said."""
    images = torch.empty(0)
    count = 0
    for pixels in frames:
        height, width = pixels.shape[:2]
        if (count + 1) * height * width > max_pixels:
            raise _too_large(count + 1, height, width, max_pixels=max_pixels)
        if count == 0:
            images = torch.empty((max(expected, 1), *pixels.shape))
        elif count == len(images):  # the container understated their number
            images = torch.cat([images, torch.empty_like(images)])
        images[count] = torch.from_numpy(pixels.copy()).float() / 255
        count += 1
    if count == 0:
        raise ValueError("the video has no frames in this part")
    return images[:count]
