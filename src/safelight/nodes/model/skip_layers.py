"""Skip layer guidance: guide away from what a transformer predicts without some of its blocks (as published with Stable
Diffusion 3.5 medium; the idea is that of Ahn et al., "Self-Rectifying Diffusion Sampling with Perturbed-Attention
Guidance", 2024)."""

import re
from dataclasses import replace

import torch

from safelight.models.diffusion_model import DiffusionModel
from safelight.models.network_hooks import NetworkHooks
from safelight.models.sampling.guidance import Guidance, options_of
from safelight.nodes.model.guidance import after_guidance
from safelight.sdk import Node, NodeOutput, Schema, io

_DOUBLE, _SINGLE = "double_layers", "single_layers"


def _range(start: float, end: float) -> list[io.Input]:
    return [
        io.Float.Input("start_percent", default=start, min=0.0, max=1.0, step=0.001),
        io.Float.Input("end_percent", default=end, min=0.0, max=1.0, step=0.001),
    ]


def _layers(id: str) -> io.Input:
    return io.String.Input(id, default="7, 8, 9")


def _scale() -> io.Input:
    return io.Float.Input("scale", default=3.0, min=0.0, max=10.0, step=0.1)


class SkipLayerGuidanceDiT(Node):
    """Guide away from the prediction without the blocks in "double_layers" and "single_layers", for more detail.
    "rescaling_scale" brings the contrast back to that of the positive prediction."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SkipLayerGuidanceDiT",
            category="advanced/guidance",
            inputs=[
                io.Model.Input("model"),
                _layers(_DOUBLE),
                _layers(_SINGLE),
                _scale(),
                *_range(0.01, 0.15),
                io.Float.Input("rescaling_scale", default=0.0, min=0.0, max=10.0, step=0.01),
            ],
            outputs=[io.Model.Output()],
            is_experimental=True,
        )

    @classmethod
    def execute(
        cls,
        model: DiffusionModel,
        scale: float,
        start_percent: float,
        end_percent: float,
        double_layers: str = "",
        single_layers: str = "",
        rescaling_scale: float = 0.0,
    ) -> NodeOutput:
        hooks = _without(double_layers, single_layers)
        if not hooks:
            return NodeOutput(model)
        first, last = _levels(model, start_percent, end_percent)

        def away(guidance: Guidance, guided: torch.Tensor) -> torch.Tensor:
            if scale == 0 or not last <= float(guidance.sigma) <= first:
                return guided
            skipped = guidance.reevaluate("positive", guidance.x, hooks)
            guided = guided + (guidance.positive - skipped) * scale
            if rescaling_scale:
                guided = guided * (rescaling_scale * guidance.positive.std() / guided.std() + (1 - rescaling_scale))
            return guided

        return after_guidance(model, away)


class SkipLayerGuidanceSD3(Node):
    """Guide away from the prediction without the blocks in "layers", for more detail in Stable Diffusion 3.5."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SkipLayerGuidanceSD3",
            category="advanced/guidance",
            inputs=[io.Model.Input("model"), _layers("layers"), _scale(), *_range(0.01, 0.15)],
            outputs=[io.Model.Output()],
            is_experimental=True,
        )

    @classmethod
    def execute(
        cls, model: DiffusionModel, layers: str, scale: float, start_percent: float, end_percent: float
    ) -> NodeOutput:
        return SkipLayerGuidanceDiT.execute(model, scale, start_percent, end_percent, double_layers=layers)


class SkipLayerGuidanceDiTSimple(Node):
    """Predict under the negative conditioning without the blocks in "double_layers" and "single_layers"."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SkipLayerGuidanceDiTSimple",
            category="advanced/guidance",
            inputs=[io.Model.Input("model"), _layers(_DOUBLE), _layers(_SINGLE), *_range(0.0, 1.0)],
            outputs=[io.Model.Output()],
            is_experimental=True,
        )

    @classmethod
    def execute(
        cls,
        model: DiffusionModel,
        start_percent: float,
        end_percent: float,
        double_layers: str = "",
        single_layers: str = "",
    ) -> NodeOutput:
        hooks = _without(double_layers, single_layers)
        if not hooks:
            return NodeOutput(model)
        first, last = _levels(model, start_percent, end_percent)

        def prepared(guidance: Guidance) -> Guidance:
            if not last <= float(guidance.sigma) <= first:
                return guidance
            return replace(guidance, negative=guidance.reevaluate("negative", guidance.x, hooks))

        options = options_of(model)
        return NodeOutput(model.with_(options=options.with_(before=(*options.before, prepared))))


def _without(double: str, single: str) -> NetworkHooks:
    blocks = [("double", number) for number in re.findall(r"\d+", double)]
    blocks += [("single", number) for number in re.findall(r"\d+", single)]
    return NetworkHooks(skipped=frozenset((kind, int(number)) for kind, number in blocks))


def _levels(model: DiffusionModel, start: float, end: float) -> tuple[float, float]:
    levels = model.parameterization.levels
    return levels.sigma_at(start), levels.sigma_at(end)
