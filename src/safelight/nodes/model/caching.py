"""Nodes that leave out evaluations of the network where its output hardly changes."""

from typing import Any

from safelight.models.diffusion_model import DiffusionModel
from safelight.models.sampling.guidance import options_of
from safelight.models.sampling.step_cache import StepCache
from safelight.sdk import Node, NodeOutput, Schema, io


def _inputs(*, advanced: bool) -> list[io.Input]:
    options: dict[str, Any] = {"advanced": True} if advanced else {}
    return [
        io.Model.Input("model"),
        io.Float.Input("reuse_threshold", default=0.2, min=0.0, max=3.0, step=0.01, **options),
        io.Float.Input("start_percent", default=0.15, min=0.0, max=1.0, step=0.01, **options),
        io.Float.Input("end_percent", default=0.95, min=0.0, max=1.0, step=0.01, **options),
        io.Boolean.Input("verbose", default=False, **options),
    ]


class EasyCache(Node):
    """Sample faster: leave out evaluations of the network while the estimated change of its output stays below
    "reuse_threshold". A higher threshold is faster and less exact."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="EasyCache",
            display_name="EasyCache",
            category="advanced/debug/model",
            inputs=_inputs(advanced=False),
            outputs=[io.Model.Output()],
            is_experimental=True,
        )

    @classmethod
    def execute(
        cls, model: DiffusionModel, reuse_threshold: float, start_percent: float, end_percent: float, verbose: bool
    ) -> NodeOutput:
        return _cached(model, reuse_threshold, start_percent, end_percent, whole_step=False)


class LazyCache(Node):
    """As EasyCache, but for whole guided steps instead of each evaluation. Usually less exact."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LazyCache",
            display_name="LazyCache",
            category="advanced/debug/model",
            inputs=_inputs(advanced=True),
            outputs=[io.Model.Output()],
            is_experimental=True,
        )

    @classmethod
    def execute(
        cls, model: DiffusionModel, reuse_threshold: float, start_percent: float, end_percent: float, verbose: bool
    ) -> NodeOutput:
        return _cached(model, reuse_threshold, start_percent, end_percent, whole_step=True)


def _cached(model: DiffusionModel, threshold: float, start: float, end: float, *, whole_step: bool) -> NodeOutput:
    levels = model.parameterization.levels
    cache = StepCache(threshold, levels.sigma_at(start), levels.sigma_at(end), whole_step)
    return NodeOutput(model.with_(options=options_of(model).with_(cache=cache)))
