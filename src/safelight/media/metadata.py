"""The prompt and the workflow inside a saved file, where ComfyUI's clients look for them when a file is dropped on
them.

PNG: text chunks named ``prompt``, ``workflow`` ... ; animated PNG: ``comf`` chunks after the pixels; WebP, AVIF and
JPEG: EXIF strings ``prompt:{...}`` in Model and ``workflow:{...}`` in Make; audio and video: tags of the container.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

_EXIF_MODEL = 0x0110
_EXIF_MAKE = 0x010F


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a job embeds in its files; both are ``None`` if the user wants no metadata in their files."""

    prompt: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] | None = None
    """By name, as clients sent it in ``extra_pnginfo``: usually only ``workflow``."""

    def texts(self) -> dict[str, str]:
        """Name to JSON, the prompt first. ASCII only, so that every container can store it."""
        values: dict[str, Any] = {} if self.prompt is None else {"prompt": self.prompt}
        values |= self.extra or {}
        return {name: json.dumps(value) for name, value in values.items()}


NO_METADATA = Metadata()


def png_text(metadata: Metadata) -> PngInfo | None:
    """tEXt chunks before the pixels."""
    info = PngInfo()
    for name, text in metadata.texts().items():
        info.add_text(name, text)
    return info if info.chunks else None


def animated_png_text(metadata: Metadata) -> PngInfo | None:
    """``comf`` chunks, laid out as tEXt, after the frames."""
    info = PngInfo()
    for name, text in metadata.texts().items():
        info.add(b"comf", name.encode("latin-1") + b"\0" + text.encode("ascii"), after_idat=True)
    return info if info.chunks else None


def exif(metadata: Metadata) -> Image.Exif | None:
    """The prompt in Model; the rest from Make downwards, one tag each."""
    found = Image.Exif()
    tag = _EXIF_MAKE
    for name, text in metadata.texts().items():
        if name == "prompt":
            found[_EXIF_MODEL] = f"prompt:{text}"
        else:
            found[tag] = f"{name}:{text}"
            tag -= 1
    return found if len(found) else None
