"""Nodes that set how a model was trained, if its file does not show it."""

from safelight.core.errors import Invalid
from safelight.models.diffusion_model import DiffusionModel
from safelight.models.sampling.levels import (
    ContinuousEdmLevels,
    ContinuousVLevels,
    DiscreteLevels,
    DistilledLevels,
    ExponentialFlowLevels,
    FlowLevels,
)
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.sampling.prediction import (
    Consistency,
    Flow,
    ImageToImage,
    ImageToImageVelocity,
    Noise,
    Preconditioned,
    Prediction,
    Signal,
    Velocity,
)
from safelight.nodes.latent.samples import Latent
from safelight.nodes.sampling.flow_schedules import ltxv_shift
from safelight.sdk import Node, NodeOutput, Schema, io

_CATEGORY = "advanced/model"

_DISCRETE: dict[str, Prediction] = {
    "eps": Noise(),
    "v_prediction": Velocity(),
    "lcm": Consistency(),
    "x0": Signal(),
    "img_to_img": ImageToImage(),
}

_EDM: dict[str, Prediction] = {
    "v_prediction": Velocity(),
    "edm": Preconditioned(0.5),
    "eps": Noise(),
}

_FLOWS: dict[str, Prediction] = {"flow": Flow(), "img_to_img_velocity": ImageToImageVelocity()}

FLUX_TOKENS = (256, 4096)
"""The token counts (16x16 patches) between which a flow's shift grows with the image."""


class UnknownSampling(Invalid):
    """A parameterization that is not supported."""

    code = "unknown_sampling"


class ModelSamplingDiscrete(Node):
    """Set what the model predicts: noise (eps), velocity, the image (x0), or a step of a consistency model (lcm). With
    "zsnr" the noise levels end in pure noise."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ModelSamplingDiscrete",
            category=_CATEGORY,
            inputs=[
                io.Model.Input("model"),
                io.Combo.Input("sampling", tuple(_DISCRETE)),
                io.Boolean.Input("zsnr", default=False),
            ],
            outputs=[io.Model.Output()],
            listed_combos=True,
        )

    @classmethod
    def execute(cls, model: DiffusionModel, sampling: str, zsnr: bool) -> NodeOutput:
        levels = DiscreteLevels(zero_terminal=zsnr)
        chosen = DistilledLevels(levels) if sampling == "lcm" else levels
        return NodeOutput(model.with_(parameterization=Parameterization(_DISCRETE[sampling], chosen)))


class ModelSamplingSD3(Node):
    """Treat the model as a flow model and shift its noise levels towards noise, as Stable Diffusion 3 does. Larger
    images need a larger shift."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ModelSamplingSD3",
            category=_CATEGORY,
            inputs=[io.Model.Input("model"), io.Float.Input("shift", default=3.0, min=0.0, max=100.0, step=0.01)],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, model: DiffusionModel, shift: float) -> NodeOutput:
        return NodeOutput(model.with_(parameterization=Parameterization(Flow(), FlowLevels(shift))))


class ModelSamplingAuraFlow(Node):
    """Treat the model as a flow model with shifted noise levels and timesteps from 0 to 1, as AuraFlow and Lumina do.
    With "img_to_img_velocity" it predicts the way from an image to the result, in one step."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ModelSamplingAuraFlow",
            category=_CATEGORY,
            inputs=[
                io.Model.Input("model"),
                io.Float.Input("shift", default=1.73, min=0.0, max=100.0, step=0.01),
                io.Combo.Input("sampling", tuple(_FLOWS), default="flow", optional=True, advanced=True),
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, model: DiffusionModel, shift: float, sampling: str = "flow") -> NodeOutput:
        levels = FlowLevels(shift, multiplier=1.0)
        return NodeOutput(model.with_(parameterization=Parameterization(_FLOWS[sampling], levels)))


class ModelSamplingFlux(Node):
    """Treat the model as a flow model whose shift grows with the image, from "base_shift" to "max_shift", as Flux
    does."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ModelSamplingFlux",
            category=_CATEGORY,
            inputs=[
                io.Model.Input("model"),
                io.Float.Input("max_shift", default=1.15, min=0.0, max=100.0, step=0.01),
                io.Float.Input("base_shift", default=0.5, min=0.0, max=100.0, step=0.01),
                io.Int.Input("width", default=1024, min=16, max=16384, step=8),
                io.Int.Input("height", default=1024, min=16, max=16384, step=8),
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, model: DiffusionModel, max_shift: float, base_shift: float, width: int, height: int) -> NodeOutput:
        few, many = FLUX_TOKENS
        slope = (max_shift - base_shift) / (many - few)
        log_shift = base_shift + slope * (width * height / 256 - few)
        return NodeOutput(model.with_(parameterization=Parameterization(Flow(), ExponentialFlowLevels(log_shift))))


class ModelSamplingLTXV(Node):
    """Treat the model as a flow model whose shift grows with the latent, from "base_shift" at 1024 tokens to
    "max_shift" at 4096 (assumed without a latent), as LTX-Video does."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ModelSamplingLTXV",
            category=_CATEGORY,
            inputs=[
                io.Model.Input("model"),
                io.Float.Input("max_shift", default=2.05, min=0.0, max=100.0, step=0.01),
                io.Float.Input("base_shift", default=0.95, min=0.0, max=100.0, step=0.01),
                io.Latent.Input("latent", optional=True),
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(
        cls, model: DiffusionModel, max_shift: float, base_shift: float, latent: Latent | None = None
    ) -> NodeOutput:
        log_shift = ltxv_shift(latent, max_shift=max_shift, base_shift=base_shift)
        return NodeOutput(model.with_(parameterization=Parameterization(Flow(), ExponentialFlowLevels(log_shift))))


class ModelSamplingContinuousEDM(Node):
    """Set what the model predicts, for models trained on a continuous range of noise levels with EDM's timesteps."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ModelSamplingContinuousEDM",
            category=_CATEGORY,
            inputs=[
                io.Model.Input("model"),
                io.Combo.Input("sampling", ("v_prediction", "edm", "edm_playground_v2.5", "eps", "cosmos_rflow")),
                io.Float.Input("sigma_max", default=120.0, min=0.0, max=1000.0, step=0.001, round=False),
                io.Float.Input("sigma_min", default=0.002, min=0.0, max=1000.0, step=0.001, round=False),
            ],
            outputs=[io.Model.Output()],
            listed_combos=True,
        )

    @classmethod
    def execute(cls, model: DiffusionModel, sampling: str, sigma_max: float, sigma_min: float) -> NodeOutput:
        if sampling not in _EDM:
            raise UnknownSampling(f"sampling {sampling!r} is not supported yet: choose one of {', '.join(_EDM)}")
        levels = ContinuousEdmLevels(sigma_min, sigma_max)
        return NodeOutput(model.with_(parameterization=Parameterization(_EDM[sampling], levels)))


class ModelSamplingContinuousV(Node):
    """Set the range of noise levels, for models trained on a continuous range that predict velocity."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ModelSamplingContinuousV",
            category=_CATEGORY,
            inputs=[
                io.Model.Input("model"),
                io.Combo.Input("sampling", ("v_prediction",)),
                io.Float.Input("sigma_max", default=500.0, min=0.0, max=1000.0, step=0.001, round=False),
                io.Float.Input("sigma_min", default=0.03, min=0.0, max=1000.0, step=0.001, round=False),
            ],
            outputs=[io.Model.Output()],
            listed_combos=True,
        )

    @classmethod
    def execute(cls, model: DiffusionModel, sampling: str, sigma_max: float, sigma_min: float) -> NodeOutput:
        levels = ContinuousVLevels(sigma_min, sigma_max)
        return NodeOutput(model.with_(parameterization=Parameterization(Velocity(), levels)))
