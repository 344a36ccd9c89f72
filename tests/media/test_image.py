"""Unusual images become arrays, and arrays become files whose pixels are the documented ones."""

import io
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from tests.media.pictures import encoded, gradient, png_of_size

from safelight.media.image import decode_image, save_animated_png, save_png, save_webp, to_uint8
from safelight.media.media_errors import MediaTooLarge, UnreadableMedia
from safelight.media.thumbnail import render_thumbnail


def levels(source: bytes) -> np.ndarray:
    """The first frame, with values 0..255."""
    return np.rint(decode_image(source).frames[0] * 255).astype(int)


def test_rgb_png_is_exact() -> None:
    picture = decode_image(encoded(gradient(), "PNG"))
    assert picture.frames.shape == (1, 6, 8, 3)
    assert picture.frames.dtype == np.float32
    assert picture.alpha is None
    assert np.array_equal(picture.frames[0], np.asarray(gradient()).astype(np.float32) / np.float32(255))


def test_alpha_is_separate_from_color() -> None:
    image = gradient().convert("RGBA")
    image.putalpha(51)
    picture = decode_image(encoded(image, "PNG"))
    assert np.array_equal(picture.frames[0], decode_image(encoded(gradient(), "PNG")).frames[0])
    assert picture.alpha is not None
    assert np.unique(picture.alpha).tolist() == [np.float32(0.2)]


def test_palette_with_transparency() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    picture = decode_image(encoded(image, "PNG", transparency=1))
    assert picture.frames[0, 0].tolist() == [[1, 0, 0], [0, 0, 1]]
    assert picture.alpha is not None
    assert picture.alpha[0, 0].tolist() == [1, 0]


def test_palette_without_transparency_has_no_alpha() -> None:
    assert decode_image(encoded(gradient().quantize(4), "PNG")).alpha is None


def test_16_bit_grey_keeps_its_precision() -> None:
    image = Image.fromarray(np.array([[0, 1, 257, 32768, 65535]], dtype=np.uint16))
    picture = decode_image(encoded(image, "PNG"))
    expected = np.array([0, 1, 257, 32768, 65535], dtype=np.float32) / np.float32(65535)
    for channel in range(3):
        assert np.array_equal(picture.frames[0, 0, :, channel], expected)


def test_1_bit() -> None:
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    assert levels(encoded(image, "PNG")).tolist() == [[[0, 0, 0], [255, 255, 255]]]


def test_grey_with_alpha() -> None:
    picture = decode_image(encoded(Image.new("LA", (1, 1), (102, 255)), "PNG"))
    assert picture.frames[0, 0, 0].tolist() == pytest.approx([0.4, 0.4, 0.4])
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[[1.0]]]


def test_cmyk_jpeg() -> None:
    source = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)
    assert np.abs(levels(source) - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation: int) -> None:
    upright = gradient()
    stored = {
        1: lambda i: i,
        2: lambda i: i.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: lambda i: i.transpose(Image.Transpose.ROTATE_180),
        4: lambda i: i.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: lambda i: i.transpose(Image.Transpose.TRANSPOSE),
        6: lambda i: i.transpose(Image.Transpose.ROTATE_90),
        7: lambda i: i.transpose(Image.Transpose.TRANSVERSE),
        8: lambda i: i.transpose(Image.Transpose.ROTATE_270),
    }[orientation](upright)
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(levels(encoded(stored, "PNG", exif=exif)), np.asarray(upright))


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_every_frame_is_read(format: str) -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    options = {"lossless": True} if format == "WEBP" else {}
    picture = decode_image(encoded(frames[0], format, save_all=True, append_images=frames[1:], **options))
    assert picture.frames[:, 0, 0].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_frames_of_another_size_are_left_out() -> None:
    first, other, last = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (5, 4)), Image.new("RGB", (4, 4), "blue")
    picture = decode_image(encoded(first, "TIFF", save_all=True, append_images=[other, last]))
    assert picture.frames[:, 0, 0].tolist() == [[1, 0, 0], [0, 0, 1]]


def test_only_the_first_view_of_a_stereo_jpeg_is_read() -> None:
    source = encoded(gradient(), "MPO", save_all=True, append_images=[gradient()])
    assert decode_image(source).frames.shape[0] == 1


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_a_truncated_file_is_read_as_far_as_it_goes(format: str) -> None:
    """As in ComfyUI, half a download gives half an image."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    source = encoded(noise, format)
    whole = decode_image(source).frames
    half = decode_image(source[: len(source) // 2]).frames
    assert half.shape == whole.shape
    assert np.array_equal(half[0, :8], whole[0, :8])
    assert not np.array_equal(half[0, -8:], whole[0, -8:])
    assert render_thumbnail(source[: len(source) // 2], side=64).body


def test_a_truncated_webp_is_refused() -> None:
    """Its decoder returns nothing for half a file."""
    source = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)), "WEBP")
    with pytest.raises(UnreadableMedia):
        decode_image(source[: len(source) // 2])


@pytest.mark.parametrize("is_compressed", [False, True])
def test_a_png_with_a_large_text_is_read(is_compressed: bool) -> None:
    """Images carry workflows of several megabytes; by default, Pillow refuses compressed texts above 1 MiB."""
    text = PngInfo()
    text.add_text("workflow", "x" * 3_000_000, zip=is_compressed)
    assert decode_image(encoded(gradient(), "PNG", pnginfo=text)).frames.shape == (1, 6, 8, 3)


def test_other_files_are_refused() -> None:
    with pytest.raises(UnreadableMedia, match="supported format"):
        decode_image(b"GIF? No.")


def test_a_missing_file_stays_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        decode_image(tmp_path / "away.png")


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    bomb = png_of_size(30_000, 30_000)
    assert len(bomb) < 200_000
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(MediaTooLarge):
            decode_image(bomb)


def test_limits_of_frames_and_pixels() -> None:
    frames = [Image.new("RGB", (10, 10), (i, 0, 0)) for i in range(5)]
    source = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    with pytest.raises(MediaTooLarge, match="10 x 10 pixels; the limit is 99"):
        decode_image(source, max_pixels=99)
    with pytest.raises(MediaTooLarge, match="5 frames"):
        decode_image(source, max_total_pixels=499)
    assert decode_image(source, max_pixels=100, max_total_pixels=500).frames.shape[0] == 5


def test_a_bomb_behind_a_harmless_first_page_is_not_decoded() -> None:
    bomb = encoded(Image.new("1", (9_000, 9_000)), "TIFF", compression="group4")
    with Image.open(io.BytesIO(bomb)) as second:
        source = encoded(Image.new("1", (8, 8)), "TIFF", save_all=True, append_images=[second], compression="group4")
    assert len(source) < 100_000
    tracemalloc.start()
    shape = decode_image(source).frames.shape
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000
    assert shape == (1, 8, 8, 3)


def test_postscript_is_not_an_image() -> None:
    with pytest.raises(UnreadableMedia, match="supported format"):
        decode_image(encoded(gradient(), "EPS"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP", "AVIF", "BMP", "TIFF", "DDS", "ICO", "JPEG2000"])
def test_damaged_bytes_fail_in_one_way(format: str) -> None:
    """Whatever is broken, the result is an image or one of two errors."""
    whole = encoded(gradient(40, 30), format)
    random = np.random.default_rng(7)
    for _ in range(60):
        damaged = bytearray(whole)
        for at in random.integers(0, min(len(whole), int(random.choice([64, 300, 10_000]))), random.integers(1, 8)):
            damaged[at] = random.choice([0, 1, 127, 128, 255])
        try:
            decode_image(bytes(damaged), max_pixels=10**6, max_total_pixels=10**6)
        except (UnreadableMedia, MediaTooLarge):
            continue


def test_saving_cuts_off_instead_of_rounding() -> None:
    values = np.array([-1, 0, 0.0039, 0.1, 0.2, 0.3, 0.5, 1, 2, np.nan, np.inf, -np.inf], dtype=np.float32)
    assert to_uint8(values).tolist() == [0, 0, 0, 25, 51, 76, 127, 255, 255, 0, 255, 0]


def test_every_level_survives_saving_and_loading(tmp_path: Path) -> None:
    """255 x is truncated, so v / 255 in float32 times 255 must not be below v for any v."""
    all_levels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    save_png(tmp_path / "a.png", all_levels)
    assert np.array_equal(to_uint8(decode_image(tmp_path / "a.png").frames[0]), all_levels)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png_of_1_3_and_4_channels(tmp_path: Path, channels: int) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (5, 7, channels), dtype=np.uint8)
    save_png(tmp_path / "a.png", pixels)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == {1: "L", 3: "RGB", 4: "RGBA"}[channels]
        assert np.array_equal(np.asarray(image).reshape(pixels.shape), pixels)


def test_two_channels_are_not_an_image(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="with 2 channels"):
        save_png(tmp_path / "a.png", np.zeros((4, 4, 2), dtype=np.uint8))


def test_animations(tmp_path: Path) -> None:
    frames = [np.full((4, 4, 3), level, dtype=np.uint8) for level in (0, 100, 200)]
    save_webp(tmp_path / "a.webp", frames, frame_s=1 / 8, lossless=True)
    save_animated_png(tmp_path / "a.png", frames, frame_s=1 / 8)
    for name in ("a.webp", "a.png"):
        assert np.array_equal(to_uint8(decode_image(tmp_path / name).frames), np.stack(frames))
        with Image.open(tmp_path / name) as image:
            image.load()
            assert image.info["duration"] == 125
