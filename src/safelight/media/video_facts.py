"""Properties of a video without decoding it: the exact number of frames, rate, size and duration. Uses PyAV, not
numpy."""

from dataclasses import dataclass
from pathlib import Path

from safelight.media.container import opened_container, video_track
from safelight.media.media_errors import UnreadableMedia


@dataclass(frozen=True, slots=True)
class VideoFacts:
    width: int
    height: int
    frames: int
    fps: float
    duration_s: float


def read_video_facts(path: Path) -> VideoFacts:
    """Reads the whole file if its header does not count the frames. Raises :class:`UnreadableMedia`."""
    with opened_container(path) as container:
        track = video_track(container)
        if track is None:
            raise UnreadableMedia("the file has no video track")
        rate = float(track.average_rate or track.guessed_rate or 0)
        frames = track.frames or sum(1 for packet in container.demux(track) if packet.size)
        duration_s = float(track.duration * track.time_base) if track.duration else 0.0
        if not duration_s and container.duration:
            duration_s = container.duration / 1_000_000
        if not duration_s and rate:
            duration_s = frames / rate
        return VideoFacts(track.codec_context.width, track.codec_context.height, frames, rate, duration_s)
