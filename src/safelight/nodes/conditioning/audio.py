"""Conditioning of models of audio: times."""

from safelight.nodes.conditioning.options import Conditioning, with_options
from safelight.sdk import Node, NodeOutput, Schema, io


class ConditioningStableAudio(Node):
    """Set where the sound begins in its piece, and how long the piece is, for Stable Audio."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ConditioningStableAudio",
            category="conditioning",
            inputs=[
                io.Conditioning.Input("positive"),
                io.Conditioning.Input("negative"),
                io.Float.Input("seconds_start", default=0.0, min=0.0, max=1000.0, step=0.1),
                io.Float.Input("seconds_total", default=47.0, min=0.0, max=1000.0, step=0.1),
            ],
            outputs=[io.Conditioning.Output(display_name="positive"), io.Conditioning.Output(display_name="negative")],
        )

    @classmethod
    def execute(
        cls, positive: Conditioning, negative: Conditioning, seconds_start: float, seconds_total: float
    ) -> NodeOutput:
        times = {"seconds_start": seconds_start, "seconds_total": seconds_total}
        return NodeOutput(*(with_options(one, times) for one in (positive, negative)))
