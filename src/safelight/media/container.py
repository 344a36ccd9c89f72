"""Opens files of moving pictures and sound; ffmpeg's errors, also those of decoding inside the block, become ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av

from safelight.media.errors import UnreadableMedia


@contextmanager
def opened_container(path: Path) -> Iterator[Any]:
    """The container. Tags in other encodings than UTF-8, which old MP3s have, are read with replacements."""
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            yield container
    except av.error.FileNotFoundError:
        raise
    except av.error.FFmpegError as error:
        raise UnreadableMedia(f"{path.name} cannot be read: {error.strerror}") from error


def picture_track(container: Any) -> Any | None:
    """The first track of pictures whose codec is known."""
    return next((s for s in container.streams.video if s.codec_context is not None), None)


def sound_track(container: Any) -> Any | None:
    """The first track of sound whose codec and rate are known."""
    return next((s for s in container.streams.audio if s.codec_context is not None and s.codec_context.rate), None)
