"""Open audio and video files; ffmpeg's errors, including those while decoding inside the block, become our own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av

from safelight.media.media_errors import UnreadableMedia


@contextmanager
def opened_container(path: Path) -> Iterator[Any]:
    """Yield the container. Tags that are not UTF-8, which old MP3s have, are read with replacement characters."""
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            yield container
    except av.error.FileNotFoundError:
        raise
    except av.error.FFmpegError as error:
        raise UnreadableMedia(f"cannot read {path.name!r}: {error.strerror}") from error


def video_track(container: Any) -> Any | None:
    """The first video track with a known codec."""
    return next((s for s in container.streams.video if s.codec_context is not None), None)


def audio_track(container: Any) -> Any | None:
    """The first audio track with a known codec and sample rate."""
    return next((s for s in container.streams.audio if s.codec_context is not None and s.codec_context.rate), None)
