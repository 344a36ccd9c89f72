"""Opens a picture by its header alone and refuses, before any pixel is decoded, what would take too much memory."""

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageFile, UnidentifiedImageError

from safelight.media.errors import MediaTooLarge, UnreadableMedia

MAX_PIXELS = 178_956_970
"""Of one frame: 13,377 squared, the bound at which Pillow itself refuses (512 MiB of RGB)."""

FORMATS = (
    *("PNG", "JPEG", "GIF", "WEBP", "AVIF", "BMP", "DIB", "TIFF", "JPEG2000"),
    *("ICO", "TGA", "PPM", "PCX", "PSD", "DDS", "QOI", "SGI"),
)
"""What is read of all that Pillow knows; EPS, for one, would start an interpreter on a stranger's program."""

Source = Path | bytes

_DECODERS_RAISE = (
    *(OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError, ArithmeticError, RuntimeError, MemoryError),
    *(struct.error, zlib.error),
)
"""On damaged bytes, as found by feeding them some."""


@contextmanager
def opened(source: Source, *, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """The picture, not yet decoded. Decoding inside the block raises :class:`UnreadableMedia` too where the bytes are
    damaged; a picture of more than ``max_pixels`` raises :class:`MediaTooLarge` at once. A file that ends too early is
    decoded as far as it goes, and compressed texts that are too large are left out, as in ComfyUI."""
    ImageFile.LOAD_TRUNCATED_IMAGES = True  # Pillow knows it for the whole process alone
    name = source.name if isinstance(source, Path) else "the picture"
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise MediaTooLarge(f"{name} has {width} x {height} pixels; {max_pixels:,} are the limit")
            yield image
    except Image.DecompressionBombError as error:
        raise MediaTooLarge(f"{name} has more than {max_pixels:,} pixels") from error
    except UnidentifiedImageError as error:
        raise UnreadableMedia(f"{name} is not a picture of a known format") from error
    except FileNotFoundError:
        raise
    except _DECODERS_RAISE as error:
        raise UnreadableMedia(f"{name} cannot be read: {error}") from error
