"""What ``/api/view`` renders, as pixels. The channels and previews of ComfyUI's are its measured ones."""

import io

import numpy as np
import pytest
from PIL import Image
from tests.media.pictures import encoded, gradient, png_of_size

from safelight.media.media_errors import MediaTooLarge, UnreadableMedia
from safelight.media.thumbnail import Channel, parse_preview, render_channel, render_preview, render_thumbnail

BLUE = encoded(Image.new("RGBA", (64, 48), (0, 0, 255, 200)), "PNG")


def opened(body: bytes) -> Image.Image:
    return Image.open(io.BytesIO(body))


def test_rgb_drops_the_alpha() -> None:
    rendered = render_channel(BLUE, channel=Channel.RGB)
    image = opened(rendered.body)
    assert (rendered.mime_type, image.format, image.mode, image.size) == ("image/png", "PNG", "RGB", (64, 48))
    assert image.getpixel((0, 0)) == (0, 0, 255)


def test_alpha_is_black_under_the_alpha() -> None:
    image = opened(render_channel(BLUE, channel=Channel.ALPHA).body)
    assert (image.mode, image.getpixel((0, 0))) == ("RGBA", (0, 0, 0, 200))


def test_alpha_of_an_opaque_image_is_full() -> None:
    image = opened(render_channel(encoded(gradient(), "PNG"), channel=Channel.ALPHA).body)
    assert image.getchannel("A").getextrema() == (255, 255)


def test_preview_as_webp_keeps_the_alpha() -> None:
    rendered = render_preview(BLUE)
    image = opened(rendered.body)
    assert (rendered.mime_type, image.format, image.mode, image.size) == ("image/webp", "WEBP", "RGBA", (64, 48))


def test_preview_as_jpeg() -> None:
    rendered = render_preview(BLUE, format="jpeg", quality=50)
    image = opened(rendered.body)
    assert (rendered.mime_type, image.format, image.mode) == ("image/jpeg", "JPEG", "RGB")
    assert image.getpixel((0, 0))[2] > 250


@pytest.mark.parametrize(
    ("text", "channel", "expected"),
    [
        ("webp;90", None, ("webp", 90)),
        ("jpeg;50", None, ("jpeg", 50)),
        ("jpeg;50", "rgb", ("jpeg", 50)),
        ("jpeg;50", "rgba", ("webp", 50)),
        ("png", None, ("webp", 90)),
        ("", None, ("webp", 90)),
        ("webp;much", None, ("webp", 90)),
        ("webp;0", None, ("webp", 90)),
        ("webp;-5", None, ("webp", 90)),
    ],
)
def test_preview_as_clients_write_it(text: str, channel: str | None, expected: tuple[str, int]) -> None:
    assert parse_preview(text, channel=channel) == expected


def test_thumbnail_fits_its_box() -> None:
    image = opened(render_thumbnail(encoded(Image.new("RGB", (1000, 400), "red"), "JPEG"), side=256).body)
    assert (image.format, image.size) == ("JPEG", (256, 102))


def test_thumbnails_never_enlarge() -> None:
    assert opened(render_thumbnail(encoded(gradient(20, 10), "PNG"), side=64).body).size == (20, 10)


def test_thumbnail_shows_transparency_as_white() -> None:
    image = opened(render_thumbnail(encoded(Image.new("RGBA", (64, 64), (255, 0, 0, 0)), "PNG"), side=64).body)
    assert image.getpixel((9, 9)) == (255, 255, 255)


def test_thumbnail_of_16_bit_grey_is_not_blown_out() -> None:
    gray = Image.fromarray(np.full((64, 64), 32768, dtype=np.uint16))
    assert opened(render_thumbnail(encoded(gray, "PNG"), side=64).body).getpixel((5, 5)) == (127, 127, 127)


def test_thumbnails_are_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    source = encoded(Image.new("RGB", (200, 100)), "JPEG", exif=exif)
    assert opened(render_thumbnail(source, side=64).body).size == (32, 64)


@pytest.mark.parametrize("side", [63, 1025])
def test_thumbnail_sides_are_bounded(side: int) -> None:
    with pytest.raises(ValueError):
        render_thumbnail(BLUE, side=side)


def test_bombs_and_rubbish_are_refused() -> None:
    with pytest.raises(MediaTooLarge):
        render_thumbnail(png_of_size(30_000, 30_000), side=64)
    with pytest.raises(MediaTooLarge):
        render_channel(BLUE, channel=Channel.RGB, max_pixels=64 * 48 - 1)
    with pytest.raises(UnreadableMedia):
        render_preview(b"<html>")
