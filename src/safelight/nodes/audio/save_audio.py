"""Nodes that save audio to files, and play it."""

from typing import Any

from safelight.media.audio import FLAC, SoundFormat, mp3, opus, write_audio
from safelight.media.metadata import Metadata
from safelight.nodes.audio.waveform import Audio, sound_of
from safelight.nodes.files.show_image import temp_prefix
from safelight.sdk import Node, NodeOutput, Schema, current, io, ui

_MP3_QUALITIES = ["V0", "128k", "320k"]
_OPUS_QUALITIES = ["64k", "96k", "128k", "192k", "320k"]
_AUDIO = io.Audio.Input("audio")
_PREFIX = io.String.Input("filename_prefix", default="audio/ComfyUI", multiline=False)


def save_sounds(
    audio: Audio | None, *, prefix: str, format: SoundFormat, metadata: Metadata, folder: str = "output"
) -> ui.SavedFiles:
    """Save each audio clip of the batch to a file."""
    if audio is None:
        raise ValueError("no audio to save: the video has no audio track")
    run = current()
    count = len(audio["waveform"])
    series = run.open_series(prefix, folder=folder, count=count)
    files = []
    for index in range(count):
        run.raise_if_cancelled()
        file = series.file(index, format.extension)
        write_audio(file.path, sound_of(audio, index=index), format=format, metadata=metadata)
        files.append(file)
    return ui.SavedFiles("audio", files)


class SaveAudio(Node):
    """Save audio as FLAC (lossless) in the output folder, with the workflow embedded."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SaveAudio",
            display_name="Save Audio (FLAC)",
            category="audio",
            search_aliases=["export flac"],
            is_output_node=True,
            inputs=[_AUDIO, _PREFIX],
            hidden=["PROMPT", "EXTRA_PNGINFO"],
        )

    @classmethod
    def execute(cls, audio: Audio | None, filename_prefix: str = "audio/ComfyUI") -> NodeOutput:
        metadata = Metadata(cls.hidden.prompt, cls.hidden.extra_pnginfo)
        return NodeOutput(ui=save_sounds(audio, prefix=filename_prefix, format=FLAC, metadata=metadata))


class SaveAudioMP3(Node):
    """Save audio as MP3 in the output folder, with the workflow embedded. V0 is the best variable bit rate."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SaveAudioMP3",
            display_name="Save Audio (MP3)",
            category="audio",
            search_aliases=["export mp3"],
            is_output_node=True,
            inputs=[
                _AUDIO,
                _PREFIX,
                io.Combo.Input("quality", _MP3_QUALITIES, default="V0", multiselect=False),
            ],
            hidden=["PROMPT", "EXTRA_PNGINFO"],
        )

    @classmethod
    def execute(cls, audio: Audio | None, filename_prefix: str = "audio/ComfyUI", quality: str = "V0") -> NodeOutput:
        metadata = Metadata(cls.hidden.prompt, cls.hidden.extra_pnginfo)
        return NodeOutput(ui=save_sounds(audio, prefix=filename_prefix, format=mp3(quality), metadata=metadata))


class SaveAudioOpus(Node):
    """Save audio as Opus in the output folder, with the workflow embedded."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SaveAudioOpus",
            display_name="Save Audio (Opus)",
            category="audio",
            search_aliases=["export opus"],
            is_output_node=True,
            inputs=[
                _AUDIO,
                _PREFIX,
                io.Combo.Input("quality", _OPUS_QUALITIES, default="128k", multiselect=False),
            ],
            hidden=["PROMPT", "EXTRA_PNGINFO"],
        )

    @classmethod
    def execute(cls, audio: Audio | None, filename_prefix: str = "audio/ComfyUI", quality: str = "128k") -> NodeOutput:
        metadata = Metadata(cls.hidden.prompt, cls.hidden.extra_pnginfo)
        return NodeOutput(ui=save_sounds(audio, prefix=filename_prefix, format=opus(quality), metadata=metadata))


class SaveAudioAdvanced(Node):
    """Save audio as FLAC, MP3 or Opus in the output folder, with the workflow embedded, and pass it on."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SaveAudioAdvanced",
            display_name="Save Audio (Advanced)",
            category="audio",
            search_aliases=["export audio", "save sound"],
            is_output_node=True,
            inputs=[
                _AUDIO,
                _PREFIX,
                io.DynamicCombo.Input(
                    "format",
                    [
                        io.Option("flac"),
                        io.Option("mp3", [io.Combo.Input("quality", _MP3_QUALITIES, default="V0")]),
                        io.Option("opus", [io.Combo.Input("quality", _OPUS_QUALITIES, default="128k")]),
                    ],
                ),
            ],
            outputs=[io.Audio.Output("audio")],
            hidden=["PROMPT", "EXTRA_PNGINFO"],
        )

    @classmethod
    def execute(cls, audio: Audio | None, filename_prefix: str, format: dict[str, Any]) -> NodeOutput:
        chosen = {
            "flac": lambda: FLAC,
            "mp3": lambda: mp3(format.get("quality", "V0")),
            "opus": lambda: opus(format.get("quality", "128k")),
        }[format["format"]]()
        metadata = Metadata(cls.hidden.prompt, cls.hidden.extra_pnginfo)
        return NodeOutput(audio, ui=save_sounds(audio, prefix=filename_prefix, format=chosen, metadata=metadata))


class PreviewAudio(Node):
    """Play audio on the node. It is kept for a while, but not saved among your outputs."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="PreviewAudio",
            display_name="Preview Audio",
            category="audio",
            search_aliases=["play audio", "listen"],
            is_output_node=True,
            inputs=[_AUDIO],
            hidden=["PROMPT", "EXTRA_PNGINFO"],
        )

    @classmethod
    def execute(cls, audio: Audio | None) -> NodeOutput:
        metadata = Metadata(cls.hidden.prompt, cls.hidden.extra_pnginfo)
        return NodeOutput(ui=save_sounds(audio, prefix=temp_prefix(), format=FLAC, metadata=metadata, folder="temp"))
