"""Nodes that guide by an image through a control network."""

import torch

from safelight.models.control.control_network import AnyControlNetwork, AppliedControl
from safelight.models.fitting import fit_planes
from safelight.nodes.conditioning.options import Conditioning
from safelight.sdk import Node, NodeOutput, Schema, io

_RANGE = (
    io.Float.Input("strength", default=1.0, min=0.0, max=10.0, step=0.01),
    io.Float.Input("start_percent", default=0.0, min=0.0, max=1.0, step=0.001),
    io.Float.Input("end_percent", default=1.0, min=0.0, max=1.0, step=0.001),
)
_BOTH = [io.Conditioning.Output(display_name="positive"), io.Conditioning.Output(display_name="negative")]


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
        control_net: AnyControlNetwork,
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
        control_net: AnyControlNetwork,
        image: torch.Tensor,
        strength: float,
        start_percent: float,
        end_percent: float,
        vae: object = None,
    ) -> NodeOutput:
        applied = AppliedControl(control_net, image, strength, start_percent, end_percent, autoencoder=vae)
        return _applied_to_both(positive, negative, applied)


class ControlNetApplySD3(Node):
    """Guide by an image through a ControlNet that works on latents. "Apply ControlNet" does the same if a VAE is
    connected."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ControlNetApplySD3",
            display_name="Apply Controlnet with VAE",
            category="conditioning/controlnet",
            inputs=[
                io.Conditioning.Input("positive"),
                io.Conditioning.Input("negative"),
                io.ControlNet.Input("control_net"),
                io.Vae.Input("vae"),
                io.Image.Input("image"),
                *_RANGE,
            ],
            outputs=_BOTH,
            is_deprecated=True,
        )

    @classmethod
    def execute(
        cls,
        positive: Conditioning,
        negative: Conditioning,
        control_net: AnyControlNetwork,
        vae: object,
        image: torch.Tensor,
        strength: float,
        start_percent: float,
        end_percent: float,
    ) -> NodeOutput:
        applied = AppliedControl(control_net, image, strength, start_percent, end_percent, autoencoder=vae)
        return _applied_to_both(positive, negative, applied)


class ControlNetInpaintingAliMamaApply(Node):
    """Paint into an image through a ControlNet that was trained for it: it sees the image without what "mask" covers,
    and the mask."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ControlNetInpaintingAliMamaApply",
            category="conditioning/controlnet",
            inputs=[
                io.Conditioning.Input("positive"),
                io.Conditioning.Input("negative"),
                io.ControlNet.Input("control_net"),
                io.Vae.Input("vae"),
                io.Image.Input("image"),
                io.Mask.Input("mask"),
                *_RANGE,
            ],
            outputs=_BOTH,
        )

    @classmethod
    def execute(
        cls,
        positive: Conditioning,
        negative: Conditioning,
        control_net: AnyControlNetwork,
        vae: object,
        image: torch.Tensor,
        mask: torch.Tensor,
        strength: float,
        start_percent: float,
        end_percent: float,
    ) -> NodeOutput:
        kept = None
        if getattr(control_net, "concat_mask", False):
            kept = 1.0 - mask.reshape(-1, 1, *mask.shape[-2:])
            shown = fit_planes(kept, (image.shape[1], image.shape[2]), mode="bilinear").round()
            image = image * shown.movedim(1, -1)
        applied = AppliedControl(control_net, image, strength, start_percent, end_percent, autoencoder=vae, mask=kept)
        return _applied_to_both(positive, negative, applied)


def _applied_to_both(positive: Conditioning, negative: Conditioning, applied: AppliedControl) -> NodeOutput:
    if applied.strength == 0:
        return NodeOutput(positive, negative)
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
