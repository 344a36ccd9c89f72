"""Open an image by its header, and refuse images that would take too much memory before any pixel is decoded."""

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageFile, UnidentifiedImageError

from safelight.media.media_errors import MediaTooLarge, UnreadableMedia

MAX_PIXELS = 178_956_970
"""Pixels of one frame: 13,377 squared, the limit at which Pillow itself refuses (512 MiB of RGB)."""

FORMATS = (
    *("PNG", "JPEG", "GIF", "WEBP", "AVIF", "BMP", "DIB", "TIFF", "JPEG2000"),
    *("ICO", "TGA", "PPM", "PCX", "PSD", "DDS", "QOI", "SGI"),
)
"""The supported subset of Pillow's formats. EPS, for example, would start an interpreter on an untrusted program."""

Source = Path | bytes

_DECODERS_RAISE = (
    *(OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError, ArithmeticError, RuntimeError, MemoryError),
    *(struct.error, zlib.error),
)
"""Exceptions that decoders raise for damaged bytes, found by fuzzing."""


@contextmanager
def open_image(source: Source, *, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """Yield the image, not yet decoded. Decoding inside the block also raises :class:`UnreadableMedia` for damaged
    bytes; an image with more than ``max_pixels`` raises :class:`MediaTooLarge` immediately. A truncated file is decoded
    as far as it goes, and compressed texts that are too large are dropped, as in ComfyUI."""
    ImageFile.LOAD_TRUNCATED_IMAGES = True  # Pillow has this setting only for the whole process
    name = source.name if isinstance(source, Path) else "the image"
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise MediaTooLarge(f"{name!r} has {width} x {height} pixels; the limit is {max_pixels:,}")
            yield image
    except Image.DecompressionBombError as error:
        raise MediaTooLarge(f"{name!r} has more than {max_pixels:,} pixels") from error
    except UnidentifiedImageError as error:
        raise UnreadableMedia(f"{name!r} is not an image in a supported format") from error
    except FileNotFoundError:
        raise
    except _DECODERS_RAISE as error:
        raise UnreadableMedia(f"cannot read {name!r}: {error}") from error
