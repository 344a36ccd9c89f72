"""Nodes that set all limits of a conditioning in one step (mask, steps, hooks), for one conditioning or a pair."""

from typing import Any

import torch

from safelight.nodes.conditioning.area import in_mask, in_steps
from safelight.nodes.conditioning.options import Conditioning, with_options
from safelight.sdk import Node, NodeOutput, Schema, io


class ConditioningSetProperties(Node):
    """Limit a conditioning to a mask and a range of the steps, and set its hooks."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ConditioningSetProperties",
            display_name="Cond Set Props",
            category="advanced/hooks/cond single",
            inputs=[
                io.Conditioning.Input("cond_NEW"),
                io.Float.Input("strength", default=1.0, min=0.0, max=10.0, step=0.01),
                io.Combo.Input("set_cond_area", ["default", "mask bounds"]),
                io.Mask.Input("mask", optional=True),
                io.Hooks.Input("hooks", optional=True),
                io.TimestepsRange.Input("timesteps", optional=True),
            ],
            outputs=[io.Conditioning.Output()],
            is_experimental=True,
            listed_combos=True,
        )

    @classmethod
    def execute(
        cls,
        cond_NEW: Conditioning,  # noqa: N803 (names of the interface)
        strength: float,
        set_cond_area: str,
        mask: torch.Tensor | None = None,
        hooks: Any = None,
        timesteps: tuple[float, float] | None = None,
    ) -> NodeOutput:
        return NodeOutput(_limited(cond_NEW, strength, set_cond_area, mask, hooks, timesteps))


class ConditioningSetPropertiesAndCombine(Node):
    """Limit a new conditioning to a mask and a range of the steps, set its hooks, and combine it with another."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ConditioningSetPropertiesAndCombine",
            display_name="Cond Set Props Combine",
            category="advanced/hooks/cond single",
            inputs=[
                io.Conditioning.Input("cond"),
                io.Conditioning.Input("cond_NEW"),
                io.Float.Input("strength", default=1.0, min=0.0, max=10.0, step=0.01),
                io.Combo.Input("set_cond_area", ["default", "mask bounds"]),
                io.Mask.Input("mask", optional=True),
                io.Hooks.Input("hooks", optional=True),
                io.TimestepsRange.Input("timesteps", optional=True),
            ],
            outputs=[io.Conditioning.Output()],
            is_experimental=True,
            listed_combos=True,
        )

    @classmethod
    def execute(
        cls,
        cond: Conditioning,
        cond_NEW: Conditioning,  # noqa: N803
        strength: float,
        set_cond_area: str,
        mask: torch.Tensor | None = None,
        hooks: Any = None,
        timesteps: tuple[float, float] | None = None,
    ) -> NodeOutput:
        return NodeOutput(cond + _limited(cond_NEW, strength, set_cond_area, mask, hooks, timesteps))


class PairConditioningSetProperties(Node):
    """Limit a positive and a negative conditioning to a mask and a range of the steps, and set their hooks."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="PairConditioningSetProperties",
            display_name="Cond Pair Set Props",
            category="advanced/hooks/cond pair",
            inputs=[
                io.Conditioning.Input("positive_NEW"),
                io.Conditioning.Input("negative_NEW"),
                io.Float.Input("strength", default=1.0, min=0.0, max=10.0, step=0.01),
                io.Combo.Input("set_cond_area", ["default", "mask bounds"]),
                io.Mask.Input("mask", optional=True),
                io.Hooks.Input("hooks", optional=True),
                io.TimestepsRange.Input("timesteps", optional=True),
            ],
            outputs=[io.Conditioning.Output(display_name="positive"), io.Conditioning.Output(display_name="negative")],
            is_experimental=True,
            listed_combos=True,
        )

    @classmethod
    def execute(
        cls,
        positive_NEW: Conditioning,  # noqa: N803
        negative_NEW: Conditioning,  # noqa: N803
        strength: float,
        set_cond_area: str,
        mask: torch.Tensor | None = None,
        hooks: Any = None,
        timesteps: tuple[float, float] | None = None,
    ) -> NodeOutput:
        pair = (positive_NEW, negative_NEW)
        return NodeOutput(*[_limited(one, strength, set_cond_area, mask, hooks, timesteps) for one in pair])


class PairConditioningSetPropertiesAndCombine(Node):
    """Limit a new positive and negative conditioning to a mask and a range of the steps, set their hooks, and combine
    them with another pair."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="PairConditioningSetPropertiesAndCombine",
            display_name="Cond Pair Set Props Combine",
            category="advanced/hooks/cond pair",
            inputs=[
                io.Conditioning.Input("positive"),
                io.Conditioning.Input("negative"),
                io.Conditioning.Input("positive_NEW"),
                io.Conditioning.Input("negative_NEW"),
                io.Float.Input("strength", default=1.0, min=0.0, max=10.0, step=0.01),
                io.Combo.Input("set_cond_area", ["default", "mask bounds"]),
                io.Mask.Input("mask", optional=True),
                io.Hooks.Input("hooks", optional=True),
                io.TimestepsRange.Input("timesteps", optional=True),
            ],
            outputs=[io.Conditioning.Output(display_name="positive"), io.Conditioning.Output(display_name="negative")],
            is_experimental=True,
            listed_combos=True,
        )

    @classmethod
    def execute(
        cls,
        positive: Conditioning,
        negative: Conditioning,
        positive_NEW: Conditioning,  # noqa: N803
        negative_NEW: Conditioning,  # noqa: N803
        strength: float,
        set_cond_area: str,
        mask: torch.Tensor | None = None,
        hooks: Any = None,
        timesteps: tuple[float, float] | None = None,
    ) -> NodeOutput:
        pairs = ((positive, positive_NEW), (negative, negative_NEW))
        return NodeOutput(*[old + _limited(new, strength, set_cond_area, mask, hooks, timesteps) for old, new in pairs])


class PairConditioningCombine(Node):
    """Combine two pairs of positive and negative conditionings."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="PairConditioningCombine",
            display_name="Cond Pair Combine",
            category="advanced/hooks/cond pair",
            inputs=[
                io.Conditioning.Input("positive_A"),
                io.Conditioning.Input("negative_A"),
                io.Conditioning.Input("positive_B"),
                io.Conditioning.Input("negative_B"),
            ],
            outputs=[io.Conditioning.Output(display_name="positive"), io.Conditioning.Output(display_name="negative")],
            is_experimental=True,
        )

    @classmethod
    def execute(
        cls,
        positive_A: Conditioning,  # noqa: N803
        negative_A: Conditioning,  # noqa: N803
        positive_B: Conditioning,  # noqa: N803
        negative_B: Conditioning,  # noqa: N803
    ) -> NodeOutput:
        return NodeOutput(positive_A + positive_B, negative_A + negative_B)


class ConditioningSetDefaultCombine(Node):
    """Add a conditioning that acts wherever no other one does by mask or area."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ConditioningSetDefaultCombine",
            display_name="Cond Set Default Combine",
            category="advanced/hooks/cond single",
            inputs=[
                io.Conditioning.Input("cond"),
                io.Conditioning.Input("cond_DEFAULT"),
                io.Hooks.Input("hooks", optional=True),
            ],
            outputs=[io.Conditioning.Output()],
            is_experimental=True,
        )

    @classmethod
    def execute(
        cls,
        cond: Conditioning,
        cond_DEFAULT: Conditioning,  # noqa: N803
        hooks: Any = None,
    ) -> NodeOutput:
        return NodeOutput(cond + _as_default(cond_DEFAULT, hooks))


class PairConditioningSetDefaultCombine(Node):
    """Add a positive and a negative conditioning that act wherever no others do by mask or area."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="PairConditioningSetDefaultCombine",
            display_name="Cond Pair Set Default Combine",
            category="advanced/hooks/cond pair",
            inputs=[
                io.Conditioning.Input("positive"),
                io.Conditioning.Input("negative"),
                io.Conditioning.Input("positive_DEFAULT"),
                io.Conditioning.Input("negative_DEFAULT"),
                io.Hooks.Input("hooks", optional=True),
            ],
            outputs=[io.Conditioning.Output(display_name="positive"), io.Conditioning.Output(display_name="negative")],
            is_experimental=True,
        )

    @classmethod
    def execute(
        cls,
        positive: Conditioning,
        negative: Conditioning,
        positive_DEFAULT: Conditioning,  # noqa: N803
        negative_DEFAULT: Conditioning,  # noqa: N803
        hooks: Any = None,
    ) -> NodeOutput:
        return NodeOutput(
            positive + _as_default(positive_DEFAULT, hooks), negative + _as_default(negative_DEFAULT, hooks)
        )


class ConditioningTimestepsRange(Node):
    """Define a range of the steps, and the ranges before and after it: 0 is the start of denoising, 1 its end."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ConditioningTimestepsRange",
            display_name="Timesteps Range",
            category="advanced/hooks",
            inputs=[
                io.Float.Input("start_percent", default=0.0, min=0.0, max=1.0, step=0.001),
                io.Float.Input("end_percent", default=1.0, min=0.0, max=1.0, step=0.001),
            ],
            outputs=[
                io.TimestepsRange.Output(),
                io.TimestepsRange.Output(display_name="BEFORE_RANGE"),
                io.TimestepsRange.Output(display_name="AFTER_RANGE"),
            ],
            is_experimental=True,
        )

    @classmethod
    def execute(cls, start_percent: float, end_percent: float) -> NodeOutput:
        return NodeOutput((start_percent, end_percent), (0.0, start_percent), (end_percent, 1.0))


def _limited(
    conditioning: Conditioning,
    strength: float,
    set_cond_area: str,
    mask: torch.Tensor | None,
    hooks: Any,
    timesteps: tuple[float, float] | None,
) -> Conditioning:
    if mask is not None:
        conditioning = in_mask(conditioning, mask, set_cond_area=set_cond_area, strength=strength)
    if timesteps is not None:
        conditioning = in_steps(conditioning, timesteps)
    return _with_hooks(conditioning, hooks)


def _as_default(conditioning: Conditioning, hooks: Any) -> Conditioning:
    return _with_hooks(with_options(conditioning, {"default": True}), hooks)


def _with_hooks(conditioning: Conditioning, hooks: Any) -> Conditioning:
    """Add hooks; a conditioning keeps those that it already has."""
    if hooks is None:
        return conditioning
    return [
        [embedding, {**old, "hooks": old["hooks"].clone_and_combine(hooks) if old.get("hooks") else hooks}]
        for embedding, old in conditioning
    ]
