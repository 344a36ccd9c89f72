"""Nodes that create empty latents of videos and of audio.

The first frame of a video has its own latent frame; of the others, ``n`` share one: ``(length - 1) // n + 1``.
"""

from safelight.nodes.latent.zeros import zeros
from safelight.sdk import Node, NodeOutput, Schema, io

SAMPLE_RATE = 44100


class EmptyLTXVLatentVideo(Node):
    """Create an empty latent for LTX-Video: 128 channels, at 1/32 of the frame size, one latent frame for 8 frames."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="EmptyLTXVLatentVideo",
            category="latent/video/ltxv",
            inputs=[
                io.Int.Input("width", default=768, min=64, max=16384, step=32),
                io.Int.Input("height", default=512, min=64, max=16384, step=32),
                io.Int.Input("length", default=97, min=1, max=16384, step=8),
                io.Int.Input("batch_size", default=1, min=1, max=4096),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, width: int, height: int, length: int, batch_size: int = 1) -> NodeOutput:
        return NodeOutput({"samples": zeros(batch_size, 128, (length - 1) // 8 + 1, height // 32, width // 32)})


class EmptyHunyuanLatentVideo(Node):
    """Create an empty latent for HunyuanVideo 1.0 and Wan: 16 channels, at 1/8 of the frame size, one latent frame for
    4 frames."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="EmptyHunyuanLatentVideo",
            display_name="Empty HunyuanVideo 1.0 Latent",
            category="latent/video",
            inputs=[
                io.Int.Input("width", default=848, min=16, max=16384, step=16),
                io.Int.Input("height", default=480, min=16, max=16384, step=16),
                io.Int.Input("length", default=25, min=1, max=16384, step=4),
                io.Int.Input("batch_size", default=1, min=1, max=4096),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, width: int, height: int, length: int, batch_size: int = 1) -> NodeOutput:
        return NodeOutput({"samples": zeros(batch_size, 16, (length - 1) // 4 + 1, height // 8, width // 8)})


class EmptyHunyuanVideo15Latent(Node):
    """Create an empty latent for HunyuanVideo 1.5: 32 channels, at 1/16 of the frame size, one latent frame for 4
    frames."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="EmptyHunyuanVideo15Latent",
            display_name="Empty HunyuanVideo 1.5 Latent",
            category="latent/video",
            inputs=[
                io.Int.Input("width", default=848, min=16, max=16384, step=16),
                io.Int.Input("height", default=480, min=16, max=16384, step=16),
                io.Int.Input("length", default=25, min=1, max=16384, step=4),
                io.Int.Input("batch_size", default=1, min=1, max=4096),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, width: int, height: int, length: int, batch_size: int = 1) -> NodeOutput:
        return NodeOutput({"samples": zeros(batch_size, 32, (length - 1) // 4 + 1, height // 16, width // 16)})


class EmptyCosmosLatentVideo(Node):
    """Create an empty latent for Cosmos: 16 channels, at 1/8 of the frame size, one latent frame for 8 frames."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="EmptyCosmosLatentVideo",
            category="latent/video",
            inputs=[
                io.Int.Input("width", default=1280, min=16, max=16384, step=16),
                io.Int.Input("height", default=704, min=16, max=16384, step=16),
                io.Int.Input("length", default=121, min=1, max=16384, step=8),
                io.Int.Input("batch_size", default=1, min=1, max=4096),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, width: int, height: int, length: int, batch_size: int = 1) -> NodeOutput:
        return NodeOutput({"samples": zeros(batch_size, 16, (length - 1) // 8 + 1, height // 8, width // 8)})


class EmptyMochiLatentVideo(Node):
    """Create an empty latent for Mochi: 12 channels, at 1/8 of the frame size, one latent frame for 6 frames."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="EmptyMochiLatentVideo",
            category="latent/video",
            inputs=[
                io.Int.Input("width", default=848, min=16, max=16384, step=16),
                io.Int.Input("height", default=480, min=16, max=16384, step=16),
                io.Int.Input("length", default=25, min=7, max=16384, step=6),
                io.Int.Input("batch_size", default=1, min=1, max=4096),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, width: int, height: int, length: int, batch_size: int = 1) -> NodeOutput:
        return NodeOutput({"samples": zeros(batch_size, 12, (length - 1) // 6 + 1, height // 8, width // 8)})


class EmptyLatentAudio(Node):
    """Create an empty latent for Stable Audio: 64 channels, one position for 2048 samples at 44.1 kHz, rounded to an
    even number."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="EmptyLatentAudio",
            display_name="Empty Latent Audio",
            category="latent/audio",
            inputs=[
                io.Float.Input("seconds", default=47.6, min=1.0, max=1000.0, step=0.1),
                io.Int.Input("batch_size", default=1, min=1, max=4096),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, seconds: float, batch_size: int) -> NodeOutput:
        cells = round(seconds * SAMPLE_RATE / 2048 / 2) * 2
        return NodeOutput({"samples": zeros(batch_size, 64, cells), "type": "audio"})


class EmptyAceStepLatentAudio(Node):
    """Create an empty latent for ACE-Step: 8 channels of 16 bands, one position for 4096 samples at 44.1 kHz."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="EmptyAceStepLatentAudio",
            category="latent/audio",
            inputs=[
                io.Float.Input("seconds", default=120.0, min=1.0, max=1000.0, step=0.1),
                io.Int.Input("batch_size", default=1, min=1, max=4096),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, seconds: float, batch_size: int) -> NodeOutput:
        cells = int(seconds * SAMPLE_RATE / 512 / 8)
        return NodeOutput({"samples": zeros(batch_size, 8, 16, cells), "type": "audio"})


class EmptyAceStep15LatentAudio(Node):
    """Create an empty latent for ACE-Step 1.5: 64 channels, one position for 1920 samples at 48 kHz."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="EmptyAceStep1.5LatentAudio",
            display_name="Empty Ace Step 1.5 Latent Audio",
            category="latent/audio",
            inputs=[
                io.Float.Input("seconds", default=120.0, min=1.0, max=1000.0, step=0.01),
                io.Int.Input("batch_size", default=1, min=1, max=4096),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, seconds: float, batch_size: int) -> NodeOutput:
        samples = zeros(batch_size, 64, round(seconds * 48000 / 1920))
        return NodeOutput({"samples": samples, "type": "audio", "downscale_ratio_temporal": 1764})
