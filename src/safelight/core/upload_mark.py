"""The marks by which a node's author says that a combo offers the user's own files, such as ``image_upload``."""

from collections.abc import Mapping
from dataclasses import dataclass

from safelight.core.node import InputSchema


@dataclass(frozen=True, slots=True)
class UploadMark:
    """``kinds``: of the files that the combo offers (``core/output.py``). ``invalid``: ComfyUI's message for a file
    that does not exist."""

    kinds: frozenset[str]
    invalid: str


UPLOAD_MARKS: Mapping[str, UploadMark] = {
    "image_upload": UploadMark(frozenset({"image"}), "Invalid image file"),
    "video_upload": UploadMark(frozenset({"video"}), "Invalid video file"),
    "audio_upload": UploadMark(frozenset({"audio", "video"}), "Invalid audio file"),
    "file_upload": UploadMark(frozenset({"3d"}), "Invalid file"),
}


def upload_mark(declared: InputSchema) -> str | None:
    """The mark of a combo of the user's files; ``None`` for every other input."""
    if declared.type != "COMBO":
        return None
    return next((mark for mark in UPLOAD_MARKS if declared.config.get(mark)), None)
