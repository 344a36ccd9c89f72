"""The marks of a combo that offers the user's own files: those by which a node's author says so, such as
``image_upload``, and the listing that a worker recognises when a node pack lists the input folder itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from safelight.core.asset import FileName
from safelight.core.node import InputSchema
from safelight.core.output import kind_of_file

INPUT_LISTING = "input_listing"
"""The option of a combo that a node pack fills by listing the input folder: ``{"extensions": [".png", ...], "deep":
false, "folders": false}``. Workers add it (``shims/input_listing.py``), and clients do not see it."""

_LISTED = """
    png jpg jpeg webp gif bmp tif tiff avif svg exr hdr psd apng heic jxl
    mp4 webm mov mkv avi m4v mpg mpeg ogv flv wmv
    flac mp3 wav ogg opus m4a aac aiff wma
    glb gltf obj fbx stl ply usdz spz splat ksplat dae 3mf
    txt md json jsonl csv tsv yaml yml toml xml srt vtt ass pdf zip cube
    latent safetensors sft npy npz pt pth bin gguf onnx ttf otf
"""
LISTED_EXTENSIONS = tuple(f".{name}" for name in _LISTED.split())
"""The extensions that a worker distinguishes. A combo that lists them all lists every file."""


@dataclass(frozen=True, slots=True)
class UploadMark:
    """Which of a user's files a combo offers. ``kinds``: of the files (``core/output.py``); ``extensions``: of further
    ones; ``is_deep``: in subfolders too; ``is_of_folders``: not files, but the subfolders that have some. ``invalid``:
    ComfyUI's message for a file that does not exist."""

    invalid: str
    kinds: frozenset[str] = frozenset()
    extensions: frozenset[str] = frozenset()
    offers_all: bool = False
    is_deep: bool = False
    is_of_folders: bool = False

    def choice(self, file: FileName) -> str | None:
        """The choice that stands for a file of the input folder; ``None`` if the combo does not offer it."""
        if self.is_of_folders:
            return file.subfolder.partition("/")[0] or None
        if file.subfolder and not self.is_deep:
            return None
        suffix = PurePosixPath(file.filename).suffix.lower()
        if not (self.offers_all or suffix in self.extensions or kind_of_file(file.filename) in self.kinds):
            return None
        return f"{file.subfolder}/{file.filename}" if file.subfolder else file.filename


UPLOAD_MARKS: Mapping[str, UploadMark] = {
    "image_upload": UploadMark("Invalid image file", frozenset({"image"})),
    "video_upload": UploadMark("Invalid video file", frozenset({"video"})),
    "audio_upload": UploadMark("Invalid audio file", frozenset({"audio", "video"})),
    # 3D models are uploaded to a subfolder, which is part of the name.
    "file_upload": UploadMark("Invalid file", frozenset({"3d"}), is_deep=True),
}
"""By the option by which a node's author marks the combo."""


def upload_mark(declared: InputSchema) -> UploadMark | None:
    """The mark of a combo of the user's files; ``None`` for every other input. What a pack lists itself goes before
    what it has marked, because it is more precise."""
    if declared.type != "COMBO":
        return None
    listing = declared.config.get(INPUT_LISTING)
    if listing is None:
        return next((mark for name, mark in UPLOAD_MARKS.items() if declared.config.get(name)), None)
    if listing["folders"]:
        return UploadMark("Invalid folder", is_of_folders=True)
    extensions = frozenset(listing["extensions"])
    offers_all = extensions >= set(LISTED_EXTENSIONS)
    return UploadMark("Invalid file", extensions=extensions, offers_all=offers_all, is_deep=listing["deep"])
