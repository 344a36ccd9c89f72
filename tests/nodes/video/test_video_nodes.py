"""Video nodes: load, split, trim, create and save."""

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from tests.media.films import film, frame_number, tone
from tests.nodes.context import FolderContext, with_hidden

from safelight.media.media_errors import MediaTooLarge
from safelight.media.video import probe, read_frames, vp9_webm
from safelight.nodes.video import clip as clips
from safelight.nodes.video.clip import FileClip
from safelight.nodes.video.load_video import GetVideoComponents, LoadVideo, VideoSlice
from safelight.nodes.video.save_video import CreateVideo, SaveVideo, SaveWEBM

PROMPT = {"1": {"class_type": "SaveVideo"}}


@pytest.fixture
def run(tmp_path: Path):
    with FolderContext(tmp_path).running() as run:
        yield run


def numbers(images: torch.Tensor) -> list[int]:
    return [frame_number(image.numpy() * 255) for image in images]


def grey_images(count: int) -> torch.Tensor:
    levels = (20 + 7 * torch.arange(count)) / 255
    return levels[:, None, None, None].expand(count, 48, 64, 3).clone()


def made(count: int = 30, fps: float = 30.0, *, sound: bool = False):
    samples = tone(count / fps).samples
    audio = {"waveform": torch.from_numpy(samples)[None], "sample_rate": 44100} if sound else None
    return CreateVideo.execute(images=grey_images(count), fps=fps, audio=audio).values[0]


def test_a_film_is_taken_apart(run: FolderContext) -> None:
    film(run.input / "a.mp4", rate=Fraction(30000, 1001), sound=tone(1.0))
    (video,) = LoadVideo.execute(file="a.mp4").values
    images, audio, fps = GetVideoComponents.execute(video=video).values
    assert images.shape == (30, 48, 64, 3)
    assert images.dtype == torch.float32
    assert numbers(images) == list(range(30))
    assert fps == 30000 / 1001
    assert audio["sample_rate"] == 44100
    assert audio["waveform"].shape[:2] == (1, 2)
    assert (video.get_dimensions(), video.get_frame_count(), video.get_frame_rate()) == (
        (64, 48),
        30,
        Fraction(30000, 1001),
    )


def test_a_silent_film_has_no_audio(run: FolderContext) -> None:
    film(run.input / "a.mp4")
    assert GetVideoComponents.execute(video=LoadVideo.execute(file="a.mp4").values[0]).values[1] is None


def test_validation_and_fingerprint(run: FolderContext) -> None:
    assert LoadVideo.validate_inputs(file="no.mp4") == "Invalid video file: no.mp4"
    film(run.input / "a.mp4", count=2)
    assert LoadVideo.validate_inputs(file="a.mp4") is True
    first = LoadVideo.fingerprint_inputs(file="a.mp4")
    film(run.input / "a.mp4", count=3)
    assert LoadVideo.fingerprint_inputs(file="a.mp4") != first


def test_images_to_a_file_and_back(run: FolderContext) -> None:
    node = with_hidden(SaveVideo, prompt=PROMPT, extra_pnginfo={"workflow": {"nodes": []}})
    output = node.execute(video=made(fps=24, sound=True), filename_prefix="video/ComfyUI", format="auto", codec="auto")
    assert output.ui == {
        "images": [{"filename": "ComfyUI_00001_.mp4", "subfolder": "video", "type": "output"}],
        "animated": (True,),
    }
    path = run.saved[0].path
    info = probe(path)
    assert (info.frame_rate, info.frame_count, info.codec, info.audio_codec) == (Fraction(24), 30, "h264", "aac")
    assert [frame_number(f) for f in read_frames(path)] == list(range(30))
    with av.open(str(path)) as container:
        assert json.loads(container.metadata["prompt"]) == PROMPT
        assert json.loads(container.metadata["workflow"]) == {"nodes": []}


def test_rates_survive_the_way_through_a_float(run: FolderContext) -> None:
    film(run.input / "a.mp4", count=3, rate=Fraction(30000, 1001))
    images, _, fps = GetVideoComponents.execute(video=LoadVideo.execute(file="a.mp4").values[0]).values
    (video,) = CreateVideo.execute(images=images, fps=fps).values
    assert video.get_frame_rate() == Fraction(30000, 1001)


def test_a_loaded_film_is_copied_without_loss(run: FolderContext) -> None:
    source = film(run.input / "a.mp4", sound=tone(1.0))
    SaveVideo.execute(video=LoadVideo.execute(file="a.mp4").values[0], filename_prefix="b", format="mp4", codec="h264")
    for ours, theirs in zip(read_frames(run.saved[0].path), read_frames(source), strict=True):
        assert np.array_equal(ours, theirs)


def test_other_codecs_are_reencoded_as_h264(run: FolderContext) -> None:
    film(run.input / "a.webm", format=vp9_webm(20), sound=tone(1.0))
    (video,) = LoadVideo.execute(file="a.webm").values
    SaveVideo.execute(video=video, filename_prefix="b", format="auto", codec="auto")
    SaveVideo.execute(video=video, filename_prefix="b", format="auto", codec="h264")
    kept, encoded = (probe(f.path) for f in run.saved)
    assert (kept.codec, kept.audio_codec) == ("vp9", "opus")
    assert (encoded.codec, encoded.audio_codec) == ("h264", "aac")
    assert [frame_number(f) for f in read_frames(run.saved[1].path)] == list(range(30))


@pytest.mark.parametrize(
    ("start_time", "duration", "expected"),
    [
        (0.0, 0.0, range(30)),
        (0.5, 0.2, range(15, 21)),
        (0.5, 9.0, range(15, 30)),
        (-0.2, 0.0, range(24, 30)),
        (-5.0, 0.1, range(3)),
        (0.51, 0.1, range(16, 19)),
    ],
)
@pytest.mark.parametrize("in_memory", [False, True])
def test_slices(run: FolderContext, in_memory: bool, start_time: float, duration: float, expected: range) -> None:
    film(run.input / "a.mp4", sound=tone(1.0))
    video = made(sound=True) if in_memory else LoadVideo.execute(file="a.mp4").values[0]
    (part,) = VideoSlice.execute(video=video, start_time=start_time, duration=duration).values
    assert numbers(part.get_components().images) == list(expected)
    assert part.get_frame_count() == len(expected)
    SaveVideo.execute(video=part, filename_prefix="part", format="auto", codec="auto")
    info = probe(run.saved[0].path)
    assert info.frame_count == len(expected)
    assert info.audio_codec == "aac"


@pytest.mark.parametrize("in_memory", [False, True])
def test_a_slice_of_a_slice(run: FolderContext, in_memory: bool) -> None:
    film(run.input / "a.mp4")
    video = made() if in_memory else LoadVideo.execute(file="a.mp4").values[0]
    (part,) = VideoSlice.execute(video=video, start_time=0.2, duration=0.5).values
    assert part.get_duration() == pytest.approx(0.5, abs=0.04)
    (inner,) = VideoSlice.execute(video=part, start_time=0.1, duration=1.0).values
    assert numbers(inner.get_components().images) == list(range(9, 21))
    (rest,) = VideoSlice.execute(video=part, start_time=0.4).values
    assert numbers(rest.get_components().images) == list(range(18, 21))


def test_slices_that_cannot_be(run: FolderContext) -> None:
    with pytest.raises(ValueError, match="begins at 2 s"):
        VideoSlice.execute(video=made(), start_time=2.0)
    with pytest.raises(ValueError, match="1 s long"):
        VideoSlice.execute(video=made(), start_time=0.5, duration=1.0, strict_duration=True)
    assert VideoSlice.execute(video=made(), start_time=0.5, duration=0.5, strict_duration=True).values


@pytest.mark.parametrize(("codec", "channels", "alpha"), [("vp9", 3, None), ("vp9", 4, "1"), ("av1", 4, None)])
def test_webm(run: FolderContext, codec: str, channels: int, alpha: str | None) -> None:
    images = torch.cat([grey_images(5), torch.ones(5, 48, 64, 1)], dim=3)[..., :channels]
    node = with_hidden(SaveWEBM, prompt=PROMPT)
    output = node.execute(images=images, filename_prefix="ComfyUI", codec=codec, fps=23.976, crf=20.0)
    assert output.ui is not None
    assert output.ui["animated"] == (True,)
    path = run.saved[0].path
    info = probe(path)
    assert (info.codec, info.frame_rate) == (codec, Fraction(2997, 125))
    assert [frame_number(f) for f in read_frames(path)] == list(range(5))
    with av.open(str(path)) as container:
        stream = {k.lower(): v for k, v in container.streams.video[0].metadata.items()}
        assert stream.get("alpha_mode") == alpha
        assert json.loads({k.lower(): v for k, v in container.metadata.items()}["prompt"]) == PROMPT


@pytest.mark.parametrize("channels", [1, 4])
def test_gray_and_transparent_images_make_a_video_too(run: FolderContext, channels: int) -> None:
    images = grey_images(5)[..., :1].expand(-1, -1, -1, channels)
    (video,) = CreateVideo.execute(images=images, fps=10.0).values
    SaveVideo.execute(video=video, filename_prefix="a", format="auto", codec="auto")
    assert [frame_number(f) for f in read_frames(run.saved[0].path)] == list(range(5))


def test_a_film_that_would_fill_the_memory_is_refused(run: FolderContext) -> None:
    path = film(run.input / "a.mp4")
    info = probe(path)
    assert info.width * info.height * info.frame_count < clips.MAX_CLIP_PIXELS
    with pytest.raises(MediaTooLarge, match="trim the video first"):
        FileClip(path, max_pixels=info.width * info.height * info.frame_count - 1).get_components()


def test_a_film_that_does_not_say_how_long_it_is_is_refused_on_the_way(run: FolderContext) -> None:
    """A bare H.264 stream has no header with the number of frames."""
    source, path = film(run.input / "a.mp4", count=12), run.input / "a.h264"
    with av.open(str(source)) as container, av.open(str(path), "w", format="h264") as target:
        stream = target.add_stream_from_template(container.streams.video[0])
        for packet in container.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    assert FileClip(path).get_frame_count() == 0
    assert len(FileClip(path, max_pixels=64 * 48 * 12).get_components().images) == 12
    with pytest.raises(MediaTooLarge, match="8 frames of 64 x 48 are more than can be decoded"):
        FileClip(path, max_pixels=64 * 48 * 7).get_components()
