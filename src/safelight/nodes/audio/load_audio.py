"""Nodes that load audio that the user uploaded or recorded, and that create silence."""

import torch

from safelight.media.audio import read_audio
from safelight.nodes.audio.waveform import audio_of
from safelight.nodes.files.input_file import check_input_file, content_digest, input_file
from safelight.nodes.image.size_limit import check_size
from safelight.sdk import Node, NodeOutput, Schema, io


def _loaded(name: str) -> NodeOutput:
    with input_file(name) as path:
        audio = audio_of(read_audio(path))
    if audio is None:
        raise ValueError(f"{name!r} has no audio track")
    return NodeOutput(audio)


class LoadAudio(Node):
    """Load the audio of an audio or video file."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LoadAudio",
            display_name="Load Audio",
            category="audio",
            search_aliases=["import audio", "open audio", "audio file"],
            inputs=[io.Combo.Input("audio", upload="audio", multiselect=False)],
            outputs=[io.Audio.Output()],
        )

    @classmethod
    def validate_inputs(cls, audio: str) -> bool | str:
        return check_input_file(audio, kind="audio")

    @classmethod
    def fingerprint_inputs(cls, audio: str) -> str:
        return content_digest(audio)

    @classmethod
    def execute(cls, audio: str) -> NodeOutput:
        return _loaded(audio)


class RecordAudio(Node):
    """Record audio from your microphone when the workflow is queued."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="RecordAudio",
            display_name="Record Audio",
            category="audio",
            search_aliases=["microphone", "voice", "audio input"],
            inputs=[io.Custom("AUDIO_RECORD").Input("audio")],
            outputs=[io.Audio.Output()],
        )

    @classmethod
    def fingerprint_inputs(cls, audio: str) -> str:
        return content_digest(audio)

    @classmethod
    def execute(cls, audio: str) -> NodeOutput:
        if not audio:
            raise ValueError("nothing was recorded: record audio on the node first")
        return _loaded(audio)


class EmptyAudio(Node):
    """Create silence of a given length."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="EmptyAudio",
            display_name="Empty Audio",
            category="audio",
            search_aliases=["silence", "blank audio"],
            inputs=[
                io.Float.Input(
                    "duration", default=60.0, min=0.0, max=0xFFFFFFFFFFFFFFFF, step=0.01, tooltip="In seconds."
                ),
                io.Int.Input("sample_rate", default=44100, min=1, max=192000, tooltip="In Hz."),
                io.Int.Input("channels", default=2, min=1, max=2, tooltip="1 is mono, 2 is stereo."),
            ],
            outputs=[io.Audio.Output()],
        )

    @classmethod
    def execute(cls, duration: float, sample_rate: int, channels: int) -> NodeOutput:
        shape = (1, channels, round(duration * sample_rate))
        check_size(shape)
        waveform = torch.zeros(shape)
        return NodeOutput({"waveform": waveform, "sample_rate": sample_rate})
