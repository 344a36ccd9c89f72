"""Nodes that make a noise schedule from a model's own levels, or read a level of one."""

import torch

from safelight.models.diffusion_model import DiffusionModel
from safelight.models.sampling.schedules import SCHEDULES, schedule
from safelight.models.sampling.schedules import beta as beta_schedule
from safelight.nodes.latent.samples import Latent, with_samples
from safelight.nodes.sampling.noise import NoiseSource
from safelight.sdk import Node, NodeOutput, Schema, io

_CATEGORY = "sampling/custom_sampling/schedulers"


class BasicScheduler(Node):
    """Create a noise schedule by name, as the KSampler does."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="BasicScheduler",
            category=_CATEGORY,
            inputs=[
                io.Model.Input("model"),
                io.Combo.Input("scheduler", tuple(SCHEDULES)),
                io.Int.Input("steps", default=20, min=1, max=10000),
                io.Float.Input("denoise", default=1.0, min=0.0, max=1.0, step=0.01),
            ],
            outputs=[io.Sigmas.Output()],
        )

    @classmethod
    def execute(cls, model: DiffusionModel, scheduler: str, steps: int, denoise: float) -> NodeOutput:
        return NodeOutput(schedule(model.parameterization.levels, scheduler, steps, denoise=denoise))


class BetaSamplingScheduler(Node):
    """Create a noise schedule with steps placed by a beta distribution. Low "alpha" and "beta" put more steps at both
    ends."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="BetaSamplingScheduler",
            category=_CATEGORY,
            inputs=[
                io.Model.Input("model"),
                io.Int.Input("steps", default=20, min=1, max=10000),
                io.Float.Input("alpha", default=0.6, min=0.0, max=50.0, step=0.01, round=False),
                io.Float.Input("beta", default=0.6, min=0.0, max=50.0, step=0.01, round=False),
            ],
            outputs=[io.Sigmas.Output()],
        )

    @classmethod
    def execute(cls, model: DiffusionModel, steps: int, alpha: float, beta: float) -> NodeOutput:
        return NodeOutput(beta_schedule(model.parameterization.levels, steps, alpha=alpha, beta=beta))


class SDTurboScheduler(Node):
    """Create a noise schedule from the ten levels that SD-Turbo and SDXL-Turbo were distilled on."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SDTurboScheduler",
            category=_CATEGORY,
            inputs=[
                io.Model.Input("model"),
                io.Int.Input("steps", default=1, min=1, max=10),
                io.Float.Input("denoise", default=1.0, min=0, max=1.0, step=0.01),
            ],
            outputs=[io.Sigmas.Output()],
        )

    @classmethod
    def execute(cls, model: DiffusionModel, steps: int, denoise: float) -> NodeOutput:
        start = 10 - int(10 * denoise)
        timesteps = torch.flip(torch.arange(1, 11) * 100 - 1, (0,))[start : start + steps]
        sigmas = model.parameterization.levels.sigma(timesteps.float())
        return NodeOutput(torch.cat([sigmas, sigmas.new_zeros(1)]))


class SamplingPercentToSigma(Node):
    """Output the noise level (sigma) at a point of sampling (0 = start, 1 = end). With "return_actual_sigma", 0 and 1
    return the model's own highest and lowest level, instead of values beyond all levels."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SamplingPercentToSigma",
            category="sampling/custom_sampling/sigmas",
            inputs=[
                io.Model.Input("model"),
                io.Float.Input("sampling_percent", default=0.0, min=0.0, max=1.0, step=0.0001),
                io.Boolean.Input("return_actual_sigma", default=False),
            ],
            outputs=[io.Float.Output(display_name="sigma_value")],
        )

    @classmethod
    def execute(cls, model: DiffusionModel, sampling_percent: float, return_actual_sigma: bool) -> NodeOutput:
        parameterization = model.parameterization
        if return_actual_sigma and sampling_percent == 0.0:
            return NodeOutput(float(parameterization.sigma_max))
        if return_actual_sigma and sampling_percent == 1.0:
            return NodeOutput(float(parameterization.sigma_min))
        return NodeOutput(float(parameterization.levels.sigma_at(sampling_percent)))


class AddNoise(Node):
    """Add noise to a latent up to the first level of the schedule, for samplers that then continue without adding
    noise."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="AddNoise",
            category="_for_testing/custom_sampling/noise",
            inputs=[
                io.Model.Input("model"),
                io.Noise.Input("noise"),
                io.Sigmas.Input("sigmas"),
                io.Latent.Input("latent_image"),
            ],
            outputs=[io.Latent.Output()],
            is_experimental=True,
        )

    @classmethod
    def execute(
        cls, model: DiffusionModel, noise: NoiseSource, sigmas: torch.Tensor, latent_image: Latent
    ) -> NodeOutput:
        if len(sigmas) == 0:
            return NodeOutput(latent_image)
        added = noise.generate_noise(latent_image)
        sigma = (sigmas[0] - sigmas[-1]).abs() if len(sigmas) > 1 else sigmas[0]
        samples = latent_image["samples"]
        latent = model.latent_format.to_network(samples) if samples.any() else samples
        noised = model.parameterization.noised(latent, added, sigma)
        return NodeOutput(with_samples(latent_image, model.latent_format.from_network(noised).nan_to_num(0.0)))
