"""Formats of more than 8 bits, read back by independent decoders."""

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from tests.media.pictures import exr_samples

from safelight.media import avif, exr
from safelight.media.deep_png import save_deep_png
from safelight.media.image import decode_image
from safelight.media.metadata import Metadata
from safelight.media.sniff import sniff

METADATA = Metadata({"1": {"class_type": "X"}}, {"workflow": {"title": "größe"}})


def decoded(path: Path, format: str) -> np.ndarray:
    """The first frame, decoded by ffmpeg."""
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray(format=format)


def noise(channels: int, *, height: int = 37, width: int = 23) -> np.ndarray:
    return np.random.default_rng(channels).random((height, width, channels), dtype=np.float32)


@pytest.mark.parametrize(("channels", "format"), [(1, "gray16le"), (3, "rgb48le"), (4, "rgba64le")])
def test_png_of_16_bits(tmp_path: Path, channels: int, format: str) -> None:
    values = noise(channels)
    save_deep_png(tmp_path / "a.png", values, metadata=METADATA)
    levels = decoded(tmp_path / "a.png", format).reshape(values.shape)
    assert np.array_equal(levels, np.rint(values * 65535).astype(np.uint16))
    with Image.open(tmp_path / "a.png") as image:
        image.verify()
    with Image.open(tmp_path / "a.png") as image:
        assert json.loads(image.text["prompt"]) == METADATA.prompt
        assert json.loads(image.text["workflow"]) == {"title": "größe"}


def test_png_of_16_bits_clips(tmp_path: Path) -> None:
    values = np.array([[[-1.0], [2.0], [np.nan]]], dtype=np.float32)
    save_deep_png(tmp_path / "a.png", values)
    assert decoded(tmp_path / "a.png", "gray16le").tolist() == [[0, 65535, 0]]


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_exr(tmp_path: Path, half: bool, channels: int) -> None:
    """37 lines are two full blocks and a partial one; values above 1 and below 0 are kept."""
    values = noise(channels) * 5 - 1
    exr.save_exr(tmp_path / "a.exr", values, half=half, metadata=METADATA)
    found = exr_samples(tmp_path / "a.exr")
    assert found.dtype == (np.float16 if half else np.float32)
    assert np.array_equal(found, values.astype(found.dtype))
    data = (tmp_path / "a.exr").read_bytes()
    assert sniff(data) == "image/x-exr"
    assert b"prompt\0string\0" in data


def test_a_uniform_exr_is_small(tmp_path: Path) -> None:
    exr.save_exr(tmp_path / "a.exr", np.full((256, 256, 3), 0.5, dtype=np.float32), half=True)
    assert (tmp_path / "a.exr").stat().st_size < 10_000
    assert np.all(exr_samples(tmp_path / "a.exr") == 0.5)


def test_exr_in_half_floats_never_overflows(tmp_path: Path) -> None:
    exr.save_exr(tmp_path / "a.exr", np.array([[[1e9], [-1e9]]], dtype=np.float32), half=True)
    assert exr_samples(tmp_path / "a.exr").tolist() == [[[65504.0], [-65504.0]]]


def test_transfer_functions() -> None:
    """Published values: sRGB 0.5 is 0.21404 in linear light; HLG 0.5 is 1/12, 1 is 1."""
    signal = np.array([0, 0.04045, 0.5, 1, -0.5], dtype=np.float32)
    assert exr.srgb_to_linear(signal) == pytest.approx([0, 0.0031308, 0.2140411, 1, -0.2140411], abs=1e-6)
    assert exr.hlg_to_linear(np.array([0, 0.5, 1], dtype=np.float32)) == pytest.approx([0, 1 / 12, 1], abs=1e-5)


def test_avif_of_8_bits_carries_the_workflow(tmp_path: Path) -> None:
    frame = np.zeros((48, 64, 3), dtype=np.uint8)
    frame[:, :32], frame[:, 32:] = (200, 30, 60), (20, 220, 90)
    avif.save_avif(tmp_path / "a.avif", frame, crf=10, metadata=METADATA)
    found = decode_image(tmp_path / "a.avif").frames[0] * 255
    assert np.abs(found[:, 4:28] - [200, 30, 60]).max() < 5
    assert np.abs(found[:, 36:60] - [20, 220, 90]).max() < 5
    with Image.open(tmp_path / "a.avif") as image:
        exif = image.getexif()
    assert exif[0x0110] == "prompt:" + json.dumps(METADATA.prompt)
    assert json.loads(exif[0x010F].removeprefix("workflow:")) == {"title": "größe"}


def test_a_lower_crf_is_larger(tmp_path: Path) -> None:
    pixels = (noise(3, height=64, width=64) * 255).astype(np.uint8)
    sizes = []
    for crf in (1, 63):
        avif.save_avif(tmp_path / "a.avif", pixels, crf=crf)
        sizes.append((tmp_path / "a.avif").stat().st_size)
    assert sizes[0] > 3 * sizes[1]


@pytest.mark.parametrize(("colors", "tags"), [(avif.SRGB, (1, 13, 1)), (avif.HLG, (9, 18, 9)), (avif.PQ, (9, 16, 9))])
def test_avif_of_10_bits_declares_its_colors(tmp_path: Path, colors: avif.Colors, tags: tuple[int, int, int]) -> None:
    values = np.full((64, 64, 3), 0.5, dtype=np.float32)
    avif.save_deep_avif(tmp_path / "a.avif", [values], crf=5, ten_bits=True, colors=colors)
    with av.open(str(tmp_path / "a.avif")) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.color_primaries, codec.color_trc, codec.colorspace) == tags
        frame = next(container.decode(video=0))
        assert frame.format.name == "yuv420p10le"
        assert np.abs(frame.to_ndarray()[:64].astype(int) - 512).max() <= 2  # luma of a mid gray, full range


def test_a_moving_avif(tmp_path: Path) -> None:
    frames = [np.full((64, 64, 3), level, dtype=np.float32) for level in (0.1, 0.5, 0.9)]
    avif.save_deep_avif(
        tmp_path / "a.avif", frames, crf=5, ten_bits=False, colors=avif.SRGB, frame_rate=Fraction(8), loop_count=2
    )
    assert sniff((tmp_path / "a.avif").read_bytes()) == "image/avif"
    levels = decode_image(tmp_path / "a.avif").frames[:, 32, 32, 0]
    assert levels.tolist() == pytest.approx([0.1, 0.5, 0.9], abs=0.02)
