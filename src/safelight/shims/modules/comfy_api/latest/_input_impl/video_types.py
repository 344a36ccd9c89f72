"""Videos from a file, given as a path or as bytes, and videos from frames."""

import uuid
from io import BytesIO
from pathlib import Path

from safelight.nodes.video.clip import FileClip, FrameClip
from safelight.worker.context import worker_context


class VideoFromFile(FileClip):
    """A video file. Bytes are written to a temporary file of the job, because a decoder needs random access."""

    def __init__(self, file: str | Path | BytesIO, start_time: float = 0.0, duration: float = 0.0) -> None:
        if isinstance(file, BytesIO):
            path = worker_context().workspace.folder("temp") / f"{uuid.uuid4().hex}.video"
            path.write_bytes(file.getbuffer())
        else:
            path = Path(file)
        super().__init__(path, start_s=start_time, duration_s=duration)

    def trimmed(self, *, start_s: float, duration_s: float) -> FileClip:
        return FileClip(self.path, self.start_s, self.duration_s).trimmed(start_s=start_s, duration_s=duration_s)


class VideoFromComponents(FrameClip):
    """``VideoFromComponents(VideoComponents(images=..., frame_rate=...))``."""
