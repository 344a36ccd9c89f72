"""Audio nodes, called with values."""

import json
import re
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from tests.media.films import film, tone
from tests.nodes.context import FolderContext, with_hidden

from safelight.media.audio import FLAC, read_audio, write_audio
from safelight.nodes.audio.edit_audio import (
    AudioAdjustVolume,
    AudioConcat,
    AudioMerge,
    SplitAudioChannels,
    TrimAudioDuration,
)
from safelight.nodes.audio.load_audio import EmptyAudio, LoadAudio, RecordAudio
from safelight.nodes.audio.save_audio import PreviewAudio, SaveAudio, SaveAudioAdvanced, SaveAudioMP3, SaveAudioOpus

PROMPT = {"1": {"class_type": "SaveAudio"}}


@pytest.fixture
def run(tmp_path: Path):
    with FolderContext(tmp_path).running() as run:
        yield run


def audio(*channels: list[float], rate: int = 10) -> dict:
    return {"waveform": torch.tensor([list(channels)]), "sample_rate": rate}


def test_load(run: FolderContext) -> None:
    write_audio(run.input / "a.flac", tone(0.5), format=FLAC)
    film(run.input / "a.mp4", sound=tone(1.0))
    (loaded,) = LoadAudio.execute(audio="a.flac").values
    assert loaded["sample_rate"] == 44100
    assert loaded["waveform"].shape == (1, 2, 22050)
    assert np.allclose(loaded["waveform"][0].numpy(), tone(0.5).samples, atol=1 / 32767)
    assert LoadAudio.execute(audio="a.mp4").values[0]["waveform"].shape[:2] == (1, 2)
    assert torch.equal(RecordAudio.execute(audio="a.flac").values[0]["waveform"], loaded["waveform"])


def test_load_errors_name_the_problem(run: FolderContext) -> None:
    film(run.input / "silent.mp4", count=2)
    assert LoadAudio.validate_inputs(audio="no.wav") == "Invalid audio file: no.wav"
    with pytest.raises(ValueError, match="has no audio track"):
        LoadAudio.execute(audio="silent.mp4")
    with pytest.raises(ValueError, match="nothing was recorded"):
        RecordAudio.execute(audio="")


def test_silence() -> None:
    (made,) = EmptyAudio.execute(duration=0.25, sample_rate=8000, channels=2).values
    assert torch.equal(made["waveform"], torch.zeros(1, 2, 2000))
    assert made["sample_rate"] == 8000


@pytest.mark.parametrize(
    ("start", "duration", "expected"),
    [
        (0.0, 60.0, [0, 1, 2, 3, 4]),
        (0.1, 0.2, [1, 2]),
        (-0.2, 60.0, [3, 4]),
        (-9.0, 0.1, [0]),
        (0.26, 0.1, [3]),
        (0.5, 1.0, [4]),
        (9.0, 1.0, [4]),
    ],
)
def test_trim(start: float, duration: float, expected: list[float]) -> None:
    (cut,) = TrimAudioDuration.execute(audio=audio([0.0, 1, 2, 3, 4]), start_index=start, duration=duration).values
    assert cut["waveform"].tolist() == [[expected]]


@pytest.mark.parametrize(("start", "duration"), [(0.0, 0.0), (0.2, 0.0)])
def test_an_empty_trim_is_refused(start: float, duration: float) -> None:
    with pytest.raises(ValueError, match="no audio at"):
        TrimAudioDuration.execute(audio=audio([0.0, 1, 2, 3, 4]), start_index=start, duration=duration)


def test_split() -> None:
    left, right = SplitAudioChannels.execute(audio=audio([1.0, 2], [3.0, 4])).values
    assert left["waveform"].tolist() == [[[1, 2]]]
    assert right["waveform"].tolist() == [[[3, 4]]]
    with pytest.raises(ValueError, match="1 channels"):
        SplitAudioChannels.execute(audio=audio([1.0]))


@pytest.mark.parametrize(("direction", "expected"), [("after", [1, 2, 9]), ("before", [9, 1, 2])])
def test_concat(direction: str, expected: list[float]) -> None:
    (joined,) = AudioConcat.execute(audio1=audio([1.0, 2], [1.0, 2]), audio2=audio([9.0]), direction=direction).values
    assert joined["waveform"].tolist() == [[expected, expected]]


def test_concat_takes_the_higher_rate() -> None:
    one, two = tone(0.5, rate=8000, channels=1), tone(0.5, rate=16000, channels=1)
    first, second = ({"waveform": torch.from_numpy(s.samples)[None], "sample_rate": s.rate} for s in (one, two))
    (joined,) = AudioConcat.execute(audio1=first, audio2=second, direction="after").values
    assert joined["sample_rate"] == 16000
    assert joined["waveform"].shape == (1, 2, 16000)  # mono becomes stereo, as in ComfyUI
    assert torch.allclose(joined["waveform"][0, 0, 500:7500], torch.from_numpy(two.samples[0, 500:7500]), atol=0.01)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("add", [0.5, 0.25, 0.5]),
        ("mean", [0.25, 0.125, 0.25]),
        ("subtract", [0.0, 0.75, 0.5]),
        ("multiply", [0.0625, -0.125, 0.0]),
    ],
)
def test_merge_fills_up_the_second(method: str, expected: list[float]) -> None:
    first, second = audio([0.25, 0.5, 0.5]), audio([0.25, -0.25])
    (merged,) = AudioMerge.execute(audio1=first, audio2=second, merge_method=method).values
    assert merged["waveform"].tolist() == [[expected]]


def test_merge_cuts_the_second_and_tames_the_sum() -> None:
    (merged,) = AudioMerge.execute(audio1=audio([1.0, 0.5]), audio2=audio([1.0, 0.0, 0.7]), merge_method="add").values
    assert merged["waveform"].tolist() == [[[1.0, 0.25]]]


def test_volume() -> None:
    loud = AudioAdjustVolume.execute(audio=audio([0.1]), volume=20).values[0]["waveform"]
    assert loud.item() == pytest.approx(1.0)
    assert AudioAdjustVolume.execute(audio=audio([0.1]), volume=0).values[0]["waveform"].item() == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("node", "options", "extension", "codec"),
    [
        (SaveAudio, {}, "flac", "flac"),
        (SaveAudioMP3, {"quality": "V0"}, "mp3", "mp3"),
        (SaveAudioOpus, {"quality": "96k"}, "opus", "opus"),
        (SaveAudioAdvanced, {"format": {"format": "flac"}}, "flac", "flac"),
        (SaveAudioAdvanced, {"format": {"format": "mp3", "quality": "128k"}}, "mp3", "mp3"),
        (SaveAudioAdvanced, {"format": {"format": "opus", "quality": "64k"}}, "opus", "opus"),
    ],
)
def test_save(run: FolderContext, node: type, options: dict, extension: str, codec: str) -> None:
    batch = {
        "waveform": torch.from_numpy(np.stack([tone(0.3).samples, tone(0.3, hertz=882).samples])),
        "sample_rate": 44100,
    }
    output = with_hidden(node, prompt=PROMPT).execute(audio=batch, filename_prefix="audio/ComfyUI", **options)
    assert output.ui == {
        "audio": [{"filename": f"ComfyUI_0000{n}_.{extension}", "subfolder": "audio", "type": "output"} for n in (1, 2)]
    }
    for file, hertz in zip(run.saved, (441, 882), strict=True):
        sound = read_audio(file.path)
        assert sound is not None
        spectrum = np.abs(np.fft.rfft(sound.samples[0]))
        assert np.argmax(spectrum) * sound.rate / sound.samples.shape[1] == pytest.approx(hertz, abs=5)
        with av.open(str(file.path)) as container:
            assert container.streams.audio[0].codec_context.codec.canonical_name == codec
            tags = {**container.metadata, **container.streams.audio[0].metadata}
            assert json.loads(tags["prompt"]) == PROMPT


def test_preview(run: FolderContext) -> None:
    ui = PreviewAudio.execute(audio=audio([0.0] * 100, rate=8000)).ui
    assert ui is not None
    assert [i["type"] for i in ui["audio"]] == ["temp"]
    assert re.fullmatch(r"ComfyUI_temp_[a-z]{5}_00001_\.flac", ui["audio"][0]["filename"])


def test_missing_audio_cannot_be_saved(run: FolderContext) -> None:
    with pytest.raises(ValueError, match="no audio to save"):
        SaveAudio.execute(audio=None)
