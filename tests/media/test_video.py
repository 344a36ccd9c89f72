"""Videos are written and read back: frames in order, rates exact, colors right, audio in sync."""

import contextlib
import io
import json
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from tests.media.films import film, frame_number, grey_frames, tone

from safelight.media.audio import FLAC, read_audio, write_audio
from safelight.media.media_errors import MediaTooLarge, UnreadableMedia
from safelight.media.metadata import Metadata
from safelight.media.video import (
    H264_MP4,
    VideoFormat,
    av1_webm,
    copy_video,
    fits_mp4,
    frame_rate_of,
    probe,
    read_frames,
    vp9_webm,
    write_video,
)

METADATA = Metadata({"1": {"class_type": "X"}}, {"workflow": {"title": "größe"}})
FORMATS = {"a.mp4": H264_MP4, "vp9.webm": vp9_webm(20), "av1.webm": av1_webm(20)}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("rate", [Fraction(24), Fraction(30000, 1001), Fraction(25, 2)])
def test_frames_and_rate_come_back(tmp_path: Path, name: str, rate: Fraction) -> None:
    path = film(tmp_path / name, rate=rate, format=FORMATS[name])
    info = probe(path)
    assert info.frame_rate == rate
    assert (info.width, info.height, info.audio_codec) == (64, 48, None)
    assert info.codec == {"a.mp4": "h264", "vp9.webm": "vp9", "av1.webm": "av1"}[name]
    assert info.frame_count == 30
    assert info.duration_s == pytest.approx(30 / rate, abs=0.01)
    frames = list(read_frames(path))
    assert [frame_number(f) for f in frames] == list(range(30))
    assert all(f.shape == (48, 64, 3) and f.dtype == np.uint8 for f in frames)


@pytest.mark.parametrize("name", FORMATS)
def test_colors_are_right_and_declared(tmp_path: Path, name: str) -> None:
    frame = np.zeros((48, 64, 3), dtype=np.uint8)
    frame[:, :32], frame[:, 32:] = (200, 30, 60), (20, 220, 90)
    write_video(tmp_path / name, [frame] * 3, frame_rate=Fraction(10), format=FORMATS[name])
    (decoded, *_) = read_frames(tmp_path / name)
    assert np.abs(decoded[24, 8].astype(int) - [200, 30, 60]).max() <= 4
    assert np.abs(decoded[24, 56].astype(int) - [20, 220, 90]).max() <= 4
    with av.open(str(tmp_path / name)) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.colorspace, codec.color_primaries, codec.color_trc) == (1, 1, 1)


@pytest.mark.parametrize(
    ("start_s", "duration_s", "expected"),
    [
        (0.0, 0.0, range(30)),
        (0.5, 0.0, range(15, 30)),
        (0.5, 0.2, range(15, 21)),
        (0.0, 0.1, range(3)),
        (0.51, 0.1, range(16, 19)),
        (0.95, 9.0, range(29, 30)),
        (1.0, 0.0, range(0)),
    ],
)
@pytest.mark.parametrize("name", ["a.mp4", "vp9.webm"])
def test_a_part_begins_and_ends_at_the_right_frame(
    tmp_path: Path, name: str, start_s: float, duration_s: float, expected: range
) -> None:
    path = film(tmp_path / name, format=FORMATS[name])
    found = [frame_number(f) for f in read_frames(path, start_s=start_s, duration_s=duration_s)]
    assert found == list(expected)


def test_odd_sides_are_padded_with_their_edge(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", grey_frames(2, width=33, height=21), frame_rate=Fraction(5), format=H264_MP4)
    (frame, _) = read_frames(tmp_path / "a.mp4")
    assert frame.shape == (22, 34, 3)
    assert np.abs(frame.astype(int) - 20).max() <= 3


def test_alpha_in_vp9(tmp_path: Path) -> None:
    frames = [np.full((48, 64, 4), 128, dtype=np.uint8)] * 2
    write_video(tmp_path / "a.webm", frames, frame_rate=Fraction(5), format=vp9_webm(20, alpha=True))
    with av.open(str(tmp_path / "a.webm")) as container:
        assert {k.lower(): v for k, v in container.streams.video[0].metadata.items()}["alpha_mode"] == "1"


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_phones_films_stand_upright(tmp_path: Path, quarter_turns: int) -> None:
    """The track's matrix is patched in as phones write it: the image is rotated clockwise when it is shown."""
    frame = np.full((48, 64, 3), 20, dtype=np.uint8)
    frame[:24, :32] = 230  # bright at the upper left
    write_video(tmp_path / "a.mp4", [frame] * 2, frame_rate=Fraction(5), format=H264_MP4)
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    matrix = data.index(b"tkhd") + 44
    one = 0x10000
    a, b = [(one, 0), (0, one), (-one, 0), (0, -one)][quarter_turns]
    data[matrix : matrix + 36] = struct.pack(">9i", a, b, 0, -b, a, 0, 0, 0, 0x40000000)
    (tmp_path / "a.mp4").write_bytes(data)
    (turned, _) = read_frames(tmp_path / "a.mp4")
    expected = np.rot90(frame, -quarter_turns)
    assert turned.shape == expected.shape
    assert np.abs(turned.astype(int) - expected).mean() < 3
    info = probe(tmp_path / "a.mp4")
    assert (info.height, info.width) == expected.shape[:2]
    copy_video(tmp_path / "a.mp4", tmp_path / "b.mp4")
    (copied, _) = read_frames(tmp_path / "b.mp4")
    assert np.array_equal(copied, turned)


@pytest.mark.parametrize("name", FORMATS)
def test_audio_in_a_video(tmp_path: Path, name: str) -> None:
    path = film(tmp_path / name, sound=tone(5.0), format=FORMATS[name])
    info = probe(path)
    assert info.audio_codec == ("aac" if name == "a.mp4" else "opus")
    sound = read_audio(path)
    assert sound is not None
    assert sound.samples.shape[0] == 2
    assert sound.samples.shape[1] / sound.rate == pytest.approx(1.0, abs=0.05)  # cut with the last frame
    middle = sound.samples[0, sound.rate // 4 : sound.rate * 3 // 4]
    assert float(np.sqrt(np.mean(middle**2))) == pytest.approx(0.5 / 2**0.5, abs=0.02)


@pytest.mark.parametrize("name", ["a.mp4", "vp9.webm"])
def test_metadata(tmp_path: Path, name: str) -> None:
    write_video(tmp_path / name, grey_frames(2), frame_rate=Fraction(5), format=FORMATS[name], metadata=METADATA)
    with av.open(str(tmp_path / name)) as container:
        found = {k.lower(): v for k, v in container.metadata.items()}
    assert json.loads(found["prompt"]) == METADATA.prompt
    assert json.loads(found["workflow"]) == {"title": "größe"}


def test_a_copy_has_the_same_packets_and_new_metadata(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", sound=tone(1.0))
    copy_video(source, tmp_path / "b.mp4", metadata=METADATA)
    packets = []
    for path in (source, tmp_path / "b.mp4"):
        with av.open(str(path)) as container:
            packets.append([(p.stream.index, bytes(p)) for p in container.demux() if p.size])
    assert packets[0] == packets[1]
    assert probe(tmp_path / "b.mp4") == probe(source)
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert json.loads(container.metadata["prompt"]) == METADATA.prompt


def test_a_webm_can_be_copied_into_an_mp4(tmp_path: Path) -> None:
    source = film(tmp_path / "a.webm", sound=tone(1.0), format=vp9_webm(30))
    assert fits_mp4(probe(source))
    copy_video(source, tmp_path / "b.mp4")
    assert probe(tmp_path / "b.mp4").codec == "vp9"
    assert [frame_number(f) for f in read_frames(tmp_path / "b.mp4")] == list(range(30))


def test_codecs_that_browsers_do_not_play_do_not_fit(tmp_path: Path) -> None:
    old = VideoFormat("mpeg4", "yuv420p")
    assert not fits_mp4(probe(film(tmp_path / "a.avi", format=old)))


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        (30.0, Fraction(30)),
        (29.97, Fraction(2997, 100)),
        (30000 / 1001, Fraction(30000, 1001)),
        (0.01, Fraction(1, 100)),
    ],
)
def test_rates_are_the_fractions_that_people_mean(fps: float, rate: Fraction) -> None:
    assert frame_rate_of(fps) == rate


def test_a_truncated_film_is_unreadable(tmp_path: Path) -> None:
    data = film(tmp_path / "a.mp4").read_bytes()
    (tmp_path / "b.mp4").write_bytes(data[: len(data) // 3])
    with pytest.raises(UnreadableMedia):
        list(read_frames(tmp_path / "b.mp4"))


def test_other_files_are_not_videos(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no film")
    with pytest.raises(UnreadableMedia, match=r"a\.mp4"):
        probe(tmp_path / "a.mp4")


def test_audio_alone_is_not_a_video(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.flac", tone(0.1), format=FLAC)
    with pytest.raises(UnreadableMedia, match="no readable video track"):
        probe(tmp_path / "a.flac")


def test_no_frames_make_no_film(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        write_video(tmp_path / "a.mp4", [], frame_rate=Fraction(1), format=H264_MP4)


def test_a_frame_that_is_too_large_is_not_decoded(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4")
    for read in (probe, lambda path, **limit: list(read_frames(path, **limit))):
        with pytest.raises(MediaTooLarge, match="has more than 3,071 pixels"):
            read(path, max_frame_pixels=64 * 48 - 1)
        read(path, max_frame_pixels=64 * 48)


def test_a_frame_that_grows_on_the_way_is_not_decoded_either(tmp_path: Path) -> None:
    """A stream of JPEGs, the first of which is small."""
    written = io.BytesIO()
    for size in ((64, 48), (640, 480)):
        Image.new("RGB", size, "red").save(written, format="JPEG")
    path = tmp_path / "a.mjpeg"
    path.write_bytes(written.getvalue())
    assert [frame.shape[:2] for frame in read_frames(path)] == [(48, 64), (480, 640)]
    shapes = []
    with contextlib.suppress(UnreadableMedia):
        for frame in read_frames(path, max_frame_pixels=64 * 48):
            shapes.append(frame.shape[:2])  # noqa: PERF401 (what came before an error counts)
    assert (480, 640) not in shapes
