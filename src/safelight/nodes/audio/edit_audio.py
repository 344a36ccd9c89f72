"""Nodes that cut, join and mix audio."""

import torch

from safelight.nodes.audio.waveform import Audio, at_rate, with_channels
from safelight.sdk import Node, NodeOutput, Schema, io


class TrimAudioDuration(Node):
    """Cut a part out of an audio clip. A negative start counts back from the end."""

    @classmethod
    def define_schema(cls) -> Schema:
        limit = 0xFFFFFFFFFFFFFFFF
        return Schema(
            node_id="TrimAudioDuration",
            display_name="Trim Audio Duration",
            category="audio",
            search_aliases=["cut audio", "audio clip", "shorten audio"],
            inputs=[
                io.Audio.Input("audio"),
                io.Float.Input("start_index", default=0.0, min=-limit, max=limit, step=0.01, tooltip="In seconds."),
                io.Float.Input("duration", default=60.0, min=0.0, step=0.01, tooltip="In seconds."),
            ],
            outputs=[io.Audio.Output()],
        )

    @classmethod
    def execute(cls, audio: Audio, start_index: float, duration: float) -> NodeOutput:
        rate, length = audio["sample_rate"], audio["waveform"].shape[-1]
        start = round(start_index * rate) + (length if start_index < 0 else 0)
        start = max(0, min(start, length - 1))
        end = min(start + round(duration * rate), length)
        if start >= end:
            raise ValueError(f"no audio at {start_index:g} s for {duration:g} s: the clip is {length / rate:g} s long")
        return NodeOutput({"waveform": audio["waveform"][..., start:end], "sample_rate": rate})


class SplitAudioChannels(Node):
    """Split stereo audio into its left and right channel."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SplitAudioChannels",
            display_name="Split Audio Channels",
            category="audio",
            search_aliases=["stereo to mono"],
            inputs=[io.Audio.Input("audio")],
            outputs=[io.Audio.Output("left"), io.Audio.Output("right")],
        )

    @classmethod
    def execute(cls, audio: Audio) -> NodeOutput:
        waveform = audio["waveform"]
        if waveform.shape[1] != 2:
            raise ValueError(f"only stereo audio can be split, this has {waveform.shape[1]} channels")
        rate = audio["sample_rate"]
        return NodeOutput(*({"waveform": waveform[:, c : c + 1], "sample_rate": rate} for c in (0, 1)))


class AudioConcat(Node):
    """Join two audio clips one after the other, at the higher of their two sample rates. Mono becomes stereo."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="AudioConcat",
            display_name="Audio Concat",
            category="audio",
            search_aliases=["join audio", "append audio"],
            inputs=[
                io.Audio.Input("audio1"),
                io.Audio.Input("audio2"),
                io.Combo.Input(
                    "direction",
                    ["after", "before"],
                    default="after",
                    multiselect=False,
                    tooltip="Where the second clip goes.",
                ),
            ],
            outputs=[io.Audio.Output()],
        )

    @classmethod
    def execute(cls, audio1: Audio, audio2: Audio, direction: str) -> NodeOutput:
        first, second, rate = _matched(audio1, audio2, min_channels=2)
        order = (first, second) if direction == "after" else (second, first)
        return NodeOutput({"waveform": torch.cat(order, dim=2), "sample_rate": rate})


class AudioMerge(Node):
    """Mix a second audio clip into the first, which sets the length. If the mix would clip, all of it is made
    quieter."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="AudioMerge",
            display_name="Audio Merge",
            category="audio",
            search_aliases=["mix audio", "overlay audio", "blend audio"],
            inputs=[
                io.Audio.Input("audio1"),
                io.Audio.Input("audio2"),
                io.Combo.Input("merge_method", ["add", "mean", "subtract", "multiply"], multiselect=False),
            ],
            outputs=[io.Audio.Output()],
        )

    @classmethod
    def execute(cls, audio1: Audio, audio2: Audio, merge_method: str) -> NodeOutput:
        first, second, rate = _matched(audio1, audio2)
        length = first.shape[2]
        second = torch.nn.functional.pad(second[..., :length], (0, max(0, length - second.shape[2])))
        merged = {
            "add": lambda: first + second,
            "mean": lambda: (first + second) / 2,
            "subtract": lambda: first - second,
            "multiply": lambda: first * second,
        }[merge_method]()
        peak = float(merged.abs().max()) if merged.numel() else 0.0
        return NodeOutput({"waveform": merged / peak if peak > 1 else merged, "sample_rate": rate})


class AudioAdjustVolume(Node):
    """Make audio louder or quieter: +6 dB doubles the amplitude, -6 dB halves it."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="AudioAdjustVolume",
            display_name="Audio Adjust Volume",
            category="audio",
            search_aliases=["audio gain", "loudness", "volume"],
            inputs=[
                io.Audio.Input("audio"),
                io.Int.Input("volume", default=1, min=-100, max=100, tooltip="In decibels; 0 changes nothing."),
            ],
            outputs=[io.Audio.Output()],
        )

    @classmethod
    def execute(cls, audio: Audio, volume: int) -> NodeOutput:
        return NodeOutput(audio | {"waveform": audio["waveform"] * 10 ** (volume / 20)})


def _matched(audio1: Audio, audio2: Audio, *, min_channels: int = 1) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Both waveforms at one sample rate and with one number of channels."""
    rate = max(audio1["sample_rate"], audio2["sample_rate"])
    first, second = at_rate(audio1, rate), at_rate(audio2, rate)
    channels = max(first.shape[1], second.shape[1], min_channels)
    return with_channels(first, channels), with_channels(second, channels), rate
