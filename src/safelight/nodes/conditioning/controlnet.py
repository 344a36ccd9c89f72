"""Nodes that guide by an image through a control network."""

import torch

from safelight.models.control.control_network import AppliedControl, ControlAdapter, ControlNetwork
from safelight.nodes.conditioning.options import Conditioning
from safelight.sdk import Node, NodeOutput, Schema, io


class ControlNetApply(Node):
    """Guide by an image through a ControlNet; the negative conditioning gets it too. "Apply ControlNet" has more
    settings."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ControlNetApply",
            display_name="Apply ControlNet (OLD)",
            category="conditioning/controlnet",
            inputs=[
                io.Conditioning.Input("conditioning"),
                io.ControlNet.Input("control_net"),
                io.Image.Input("image"),
                io.Float.Input("strength", default=1.0, min=0.0, max=10.0, step=0.01),
            ],
            outputs=[io.Conditioning.Output()],
            is_deprecated=True,
        )

    @classmethod
    def execute(
        cls,
        conditioning: Conditioning,
        control_net: ControlNetwork | ControlAdapter,
        image: torch.Tensor,
        strength: float,
    ) -> NodeOutput:
        applied = AppliedControl(control_net, image, strength)
        return NodeOutput(_with_control(conditioning, applied, {}, shared=True) if strength else conditioning)


class ControlNetApplyAdvanced(Node):
    """Guide by an image through a ControlNet, from "start_percent" to "end_percent" of sampling. Several in a row add
    up."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ControlNetApplyAdvanced",
            display_name="Apply ControlNet",
            category="conditioning/controlnet",
            inputs=[
                io.Conditioning.Input("positive"),
                io.Conditioning.Input("negative"),
                io.ControlNet.Input("control_net"),
                io.Image.Input("image"),
                io.Float.Input("strength", default=1.0, min=0.0, max=10.0, step=0.01),
                io.Float.Input("start_percent", default=0.0, min=0.0, max=1.0, step=0.001),
                io.Float.Input("end_percent", default=1.0, min=0.0, max=1.0, step=0.001),
                io.Vae.Input("vae", optional=True, tooltip="Needed only by ControlNets that work on latents."),
            ],
            outputs=[
                io.Conditioning.Output(display_name="positive"),
                io.Conditioning.Output(display_name="negative"),
            ],
            search_aliases=["controlnet", "apply controlnet", "use controlnet", "control net"],
        )

    @classmethod
    def execute(
        cls,
        positive: Conditioning,
        negative: Conditioning,
        control_net: ControlNetwork | ControlAdapter,
        image: torch.Tensor,
        strength: float,
        start_percent: float,
        end_percent: float,
        vae: object = None,
    ) -> NodeOutput:
        if strength == 0:
            return NodeOutput(positive, negative)
        applied = AppliedControl(control_net, image, strength, start_percent, end_percent)
        made: dict[int, AppliedControl] = {}
        return NodeOutput(*(_with_control(side, applied, made, shared=False) for side in (positive, negative)))


def _with_control(
    conditioning: Conditioning, applied: AppliedControl, made: dict[int, AppliedControl], *, shared: bool
) -> Conditioning:
    """``made``: by the previous control in a chain, the control added after it. Both sides then share the same objects
    and go into one batch."""
    controlled = []
    for embedding, options in conditioning:
        previous = options.get("control")
        control = made.setdefault(id(previous), applied.after(previous))
        controlled.append([embedding, {**options, "control": control, "control_apply_to_uncond": shared}])
    return controlled
