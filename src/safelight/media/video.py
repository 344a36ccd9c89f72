"""Videos: files to frames and back. Frames are uint8 RGB, one at a time, so that the caller controls the memory.

Frame rates are exact fractions (30000/1001, not 29.97). Colors are BT.709, and marked as such in the file.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from safelight.media.audio import AAC, OPUS, Sound, SoundFormat, SoundTrack
from safelight.media.container import audio_track, opened_container, video_track
from safelight.media.media_errors import MediaTooLarge, UnreadableMedia
from safelight.media.metadata import NO_METADATA, Metadata

MAX_FRAME_PIXELS = 178_956_970

_CLOCK_S = 0.001
"""The coarsest clock of a container (WebM): times closer than this are equal."""

Frame = NDArray[np.uint8]
"""``[H, W, 3]``; for writing also ``[H, W, 1]`` (gray), and ``[H, W, 4]`` if the codec supports alpha."""


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """``width`` and ``height`` as displayed, after the rotation that phones record. ``frame_count`` is 0 if the
    container does not know it."""

    width: int
    height: int
    frame_rate: Fraction
    frame_count: int
    duration_s: float
    codec: str
    audio_codec: str | None
    container: str


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """How frames are encoded. Sides must be even for subsampling, and are padded with their last row or column."""

    codec: str
    pixel_format: str
    options: Mapping[str, str] = field(default_factory=dict)
    sound: SoundFormat = AAC
    container_options: Mapping[str, str] = field(default_factory=dict)


_MP4 = {"movflags": "use_metadata_tags+faststart"}

H264_MP4 = VideoFormat("libx264", "yuv420p", {"crf": "23", "preset": "medium"}, container_options=_MP4)


def vp9_webm(crf: float, *, alpha: bool = False) -> VideoFormat:
    pixel_format = "yuva420p" if alpha else "yuv420p"
    return VideoFormat("libvpx-vp9", pixel_format, {"crf": str(int(crf)), "b": "0", "row-mt": "1"}, OPUS)


def av1_webm(crf: float) -> VideoFormat:
    return VideoFormat("libsvtav1", "yuv420p10le", {"crf": str(int(crf)), "preset": "6"}, OPUS)


def frame_rate_of(fps: float) -> Fraction:
    """The fraction that a decimal stands for: 29.97002997 is 30000/1001, 23.976 is 2997/125."""
    return Fraction(fps).limit_denominator(1001)


def probe(path: Path, *, max_frame_pixels: int = MAX_FRAME_PIXELS) -> VideoInfo:
    """Read a video's properties from the container; only the first frame is decoded, for its rotation. Raises
    :class:`UnreadableMedia` and :class:`MediaTooLarge`."""
    with opened_container(path) as container:
        stream = _bounded_track(container, path, max_frame_pixels)
        sound = audio_track(container)
        rate = _rate(stream)
        duration_s = _duration_s(container, stream, rate)
        turned = next((round(f.rotation / 90) % 2 == 1 for f in container.decode(stream)), False)
        width, height = stream.codec_context.width, stream.codec_context.height
        return VideoInfo(
            width=height if turned else width,
            height=width if turned else height,
            frame_rate=rate,
            frame_count=stream.frames or round(duration_s * rate),
            duration_s=duration_s,
            codec=stream.codec_context.codec.canonical_name,
            audio_codec=None if sound is None else sound.codec_context.codec.canonical_name,
            container=container.format.name,
        )


def read_frames(
    path: Path, *, start_s: float = 0.0, duration_s: float = 0.0, max_frame_pixels: int = MAX_FRAME_PIXELS
) -> Iterator[Frame]:
    """Yield RGB frames ``[H, W, 3]``, upright, with times from ``start_s`` up to ``start_s + duration_s`` (0: to the
    end). Raises :class:`UnreadableMedia` and :class:`MediaTooLarge`."""
    with opened_container(path) as container:
        stream = _bounded_track(container, path, max_frame_pixels)
        stream.thread_type = "AUTO"
        zero_s = float((stream.start_time or 0) * stream.time_base)
        if start_s > 0:
            container.seek(int((start_s + zero_s) / stream.time_base), stream=stream)
        for frame in container.decode(stream):
            shown_s = (frame.time or 0.0) - zero_s
            if shown_s < start_s - _CLOCK_S:
                continue
            if duration_s and shown_s >= start_s + duration_s - _CLOCK_S:
                return
            yield _upright(frame)


def write_video(
    path: Path,
    frames: Iterable[Frame],
    *,
    frame_rate: Fraction,
    format: VideoFormat,
    sound: Sound | None = None,
    metadata: Metadata = NO_METADATA,
) -> None:
    """Write at least one frame, all of one size. Audio after the last frame is dropped. The path's extension selects
    the container."""
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        raise ValueError("a video needs at least one frame")
    with av.open(str(path), mode="w", options=dict(format.container_options)) as container:
        for name, text in metadata.texts().items():
            container.metadata[name] = text
        stream: Any = container.add_stream(format.codec, rate=frame_rate, options=dict(format.options))
        stream.width, stream.height = _even(first.shape[1]), _even(first.shape[0])
        stream.pix_fmt = format.pixel_format
        _mark_bt709(stream.codec_context)
        track = None if sound is None or not sound.samples.size else SoundTrack(container, sound, format.sound)
        for index, pixels in enumerate(chain([first], iterator)):
            frame = _yuv(pixels, format.pixel_format)
            frame.pts = index
            frame.time_base = 1 / frame_rate
            container.mux(stream.encode(frame))
            if track is not None:
                track.write_until(float((index + 1) / frame_rate))
        container.mux(stream.encode(None))
        if track is not None:
            track.end(whole=False)


def fits_mp4(info: VideoInfo) -> bool:
    """Whether :func:`copy_video` can make a file of it that current browsers play."""
    return info.codec in {"h264", "hevc", "av1", "vp9"} and info.audio_codec in {None, "aac", "mp3", "opus", "flac"}


def copy_video(source: Path, path: Path, *, metadata: Metadata = NO_METADATA) -> None:
    """Copy the video and audio, bit for bit, into a new MP4 container. Raises :class:`UnreadableMedia`."""
    with (
        opened_container(source) as container,
        av.open(str(path), mode="w", format="mp4", options=dict(_MP4)) as target,
    ):
        for name, text in {**container.metadata, **metadata.texts()}.items():
            target.metadata[name] = text
        wanted = [s for s in (video_track(container), audio_track(container)) if s is not None]
        streams = {s.index: target.add_stream_from_template(s, opaque=True) for s in wanted}
        for packet in container.demux(wanted):
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)


def _bounded_track(container: Any, path: Path, max_frame_pixels: int) -> Any:
    """The video track, with a decoder that allocates no memory for a larger frame, even if frame sizes grow later."""
    stream = video_track(container)
    if stream is None:
        raise UnreadableMedia(f"{path.name!r} has no readable video track")
    if stream.codec_context.width * stream.codec_context.height > max_frame_pixels:
        raise MediaTooLarge(f"a frame of {path.name!r} has more than {max_frame_pixels:,} pixels")
    stream.codec_context.options = {"max_pixels": str(max_frame_pixels)}
    return stream


def _rate(stream: Any) -> Fraction:
    return Fraction(stream.average_rate or stream.guessed_rate or stream.base_rate or 1)


def _duration_s(container: Any, stream: Any, rate: Fraction) -> float:
    """The duration of the video track; of the whole file if the track has none (WebM)."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    if stream.frames:
        return float(stream.frames / rate)
    return float(container.duration or 0) / av.time_base


def _upright(frame: Any) -> Frame:
    pixels: Frame = frame.to_ndarray(format="rgb24")
    quarter_turns = round(frame.rotation / 90) % 4
    return np.rot90(pixels, quarter_turns) if quarter_turns else pixels


def _even(side: int) -> int:
    return side + side % 2


def _yuv(pixels: Frame, pixel_format: str) -> Any:
    """A frame in the encoder's format; sides are made even by repeating the last row or column."""
    height, width, channels = pixels.shape
    if channels == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    if height % 2 or width % 2:
        pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    source = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgba" if channels == 4 else "rgb24")
    frame = source.reformat(
        format=pixel_format,
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
    )
    frame.colorspace, frame.color_range = Colorspace.ITU709, ColorRange.MPEG
    return frame


def _mark_bt709(codec: Any) -> None:
    """Mark the colors; players guess those of an unmarked file by its size. The numbers are those of ITU-T H.273."""
    codec.color_primaries = codec.color_trc = codec.colorspace = 1
    codec.color_range = ColorRange.MPEG
