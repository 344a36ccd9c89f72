"""Audio is written and read back."""

import json
from pathlib import Path

import av
import numpy as np
import pytest
from tests.media.films import film, tone

from safelight.media.audio import FLAC, Sound, mp3, opus, read_audio, resample, write_audio
from safelight.media.media_errors import UnreadableMedia
from safelight.media.metadata import Metadata

METADATA = Metadata({"1": {"class_type": "X"}}, {"workflow": {"title": "größe"}})
FORMATS = {"a.flac": FLAC, "v0.mp3": mp3("V0"), "b.mp3": mp3("320k"), "a.opus": opus("128k")}


def test_flac_keeps_16_bits(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, (2, 12345)).astype(np.float32)
    write_audio(tmp_path / "a.flac", Sound(samples, 22050), format=FLAC)
    sound = read_audio(tmp_path / "a.flac")
    assert sound is not None
    assert sound.rate == 22050
    assert sound.samples.shape == samples.shape
    assert np.abs(sound.samples - samples).max() <= 1 / 32767


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_tone_comes_back(tmp_path: Path, name: str, channels: int) -> None:
    write_audio(tmp_path / name, tone(1.0, channels=channels), format=FORMATS[name])
    sound = read_audio(tmp_path / name)
    assert sound is not None
    assert sound.samples.shape[0] == channels
    assert sound.samples.dtype == np.float32
    assert sound.rate == (48000 if name == "a.opus" else 44100)
    assert sound.samples.shape[1] / sound.rate == pytest.approx(1.0, abs=0.03)
    middle = sound.samples[0, sound.rate // 4 : sound.rate * 3 // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) * sound.rate / len(middle) == pytest.approx(441, abs=2)
    assert float(np.sqrt(np.mean(middle**2))) == pytest.approx(0.5 / 2**0.5, rel=0.05)


@pytest.mark.parametrize("name", FORMATS)
def test_metadata(tmp_path: Path, name: str) -> None:
    write_audio(tmp_path / name, tone(0.2), format=FORMATS[name], metadata=METADATA)
    with av.open(str(tmp_path / name)) as container:
        found = {**container.metadata, **container.streams.audio[0].metadata}
    assert json.loads(found["prompt"]) == METADATA.prompt
    assert json.loads(found["workflow"]) == {"title": "größe"}


def test_qualities_differ(tmp_path: Path) -> None:
    sizes = []
    noise = Sound(np.random.default_rng(0).uniform(-0.5, 0.5, (2, 44100)).astype(np.float32), 44100)
    for quality in ("128k", "320k"):
        write_audio(tmp_path / "a.mp3", noise, format=mp3(quality))
        sizes.append((tmp_path / "a.mp3").stat().st_size)
    assert sizes[1] > 2 * sizes[0]


@pytest.mark.parametrize(("start_s", "duration_s"), [(0.0, 0.5), (0.25, 0.5), (0.25, 0.0), (2.0, 1.0)])
def test_a_part_is_exact(tmp_path: Path, start_s: float, duration_s: float) -> None:
    samples = np.linspace(-1, 1, 44100, dtype=np.float32)[None]
    write_audio(tmp_path / "a.flac", Sound(samples, 44100), format=FLAC)
    part = read_audio(tmp_path / "a.flac", start_s=start_s, duration_s=duration_s)
    assert part is not None
    begin = round(start_s * 44100)
    expected = samples[:, begin : begin + round(duration_s * 44100) if duration_s else None]
    assert part.samples.shape == expected.shape
    assert np.allclose(part.samples, expected, atol=1 / 32767)


def test_loud_samples_are_clipped(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.flac", Sound(np.array([[2.0, -2.0] * 50], dtype=np.float32), 8000), format=FLAC)
    sound = read_audio(tmp_path / "a.flac")
    assert sound is not None
    assert np.allclose(np.abs(sound.samples), 1, atol=1 / 16384)


@pytest.mark.parametrize(("rate", "target"), [(44100, 48000), (48000, 16000), (8000, 44100)])
def test_resampling_keeps_a_tone(rate: int, target: int) -> None:
    resampled = resample(tone(0.5, rate=rate).samples, rate, target)
    expected = tone(0.5, rate=target).samples
    assert resampled.dtype == np.float32
    assert resampled.shape == expected.shape
    assert np.abs(resampled - expected)[:, target // 10 : -target // 10].max() < 0.01


def test_a_silent_video_has_no_audio(tmp_path: Path) -> None:
    assert read_audio(film(tmp_path / "a.mp4")) is None


def test_tags_in_old_encodings_do_no_harm(tmp_path: Path) -> None:
    """ID3v1, the last 128 bytes, is Latin-1 by convention."""
    write_audio(tmp_path / "a.mp3", tone(0.2), format=mp3("128k"))
    tag = b"TAG" + "Größe".encode("latin-1").ljust(30, b"\0") + bytes(95)
    (tmp_path / "b.mp3").write_bytes((tmp_path / "a.mp3").read_bytes().replace(b"ID3", b"XXX", 1) + tag)
    sound = read_audio(tmp_path / "b.mp3")
    assert sound is not None
    assert sound.samples.shape[1] > 44100 // 6


def test_rubbish_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("silence")
    with pytest.raises(UnreadableMedia, match=r"a\.wav"):
        read_audio(tmp_path / "a.wav")


def test_eight_channels_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="8 channels"):
        write_audio(tmp_path / "a.flac", tone(0.1, channels=8), format=FLAC)
