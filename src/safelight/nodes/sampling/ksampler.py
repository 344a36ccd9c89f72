"""The samplers that most workflows use: all of sampling in one node."""

from safelight.models.diffusion_model import DiffusionModel
from safelight.models.sampling.guidance import CfgGuider
from safelight.models.sampling.samplers.table import SAMPLERS, SKIPS_LAST_LEVEL
from safelight.models.sampling.schedules import SCHEDULES, schedule, step_range
from safelight.nodes.conditioning.options import Conditioning
from safelight.nodes.latent.samples import Latent
from safelight.nodes.sampling.noise import NoiseSource, NoNoise, SeededNoise
from safelight.nodes.sampling.sample import run_sampling, sampler_named
from safelight.sdk import Node, NodeOutput, Schema, io

MAX_SEED = 0xFFFFFFFFFFFFFFFF


class KSampler(Node):
    """Denoise a latent step by step, guided by a positive and a negative conditioning."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="KSampler",
            category="sampling",
            inputs=[
                io.Model.Input("model", tooltip="The model that denoises the latent."),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=MAX_SEED,
                    control_after_generate=True,
                    tooltip="The seed of the noise. The same seed gives the same image.",
                ),
                io.Int.Input("steps", default=20, min=1, max=10000, tooltip="The number of denoising steps."),
                io.Float.Input(
                    "cfg",
                    default=8.0,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    round=0.01,
                    tooltip="How closely to follow the prompt. Very high values harm the image.",
                ),
                io.Combo.Input("sampler_name", tuple(SAMPLERS), tooltip="The algorithm of the denoising steps."),
                io.Combo.Input(
                    "scheduler", tuple(SCHEDULES), tooltip="The noise schedule: how much noise each step removes."
                ),
                io.Conditioning.Input("positive", tooltip="What the image should show."),
                io.Conditioning.Input("negative", tooltip="What the image should not show."),
                io.Latent.Input("latent_image", tooltip="The latent to denoise."),
                io.Float.Input(
                    "denoise",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="How much noise replaces the latent first. Below 1, some of its structure stays.",
                ),
            ],
            outputs=[io.Latent.Output(tooltip="The denoised latent.")],
            listed_combos=True,
            search_aliases=["sampler", "sample", "generate", "denoise", "diffuse", "txt2img", "img2img"],
        )

    @classmethod
    def execute(
        cls,
        model: DiffusionModel,
        seed: int,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        positive: Conditioning,
        negative: Conditioning,
        latent_image: Latent,
        denoise: float = 1.0,
    ) -> NodeOutput:
        sides = (positive, negative)
        return NodeOutput(
            *common_ksampler(model, seed, steps, cfg, sampler_name, scheduler, *sides, latent_image, denoise)
        )


class KSamplerAdvanced(Node):
    """Denoise a latent over some of the steps, from "start_at_step" to "end_at_step". Chains of samplers can pass on a
    latent with leftover noise."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="KSamplerAdvanced",
            display_name="KSampler (Advanced)",
            category="sampling",
            inputs=[
                io.Model.Input("model"),
                io.Combo.Input("add_noise", ("enable", "disable")),
                io.Int.Input("noise_seed", default=0, min=0, max=MAX_SEED, control_after_generate=True),
                io.Int.Input("steps", default=20, min=1, max=10000),
                io.Float.Input("cfg", default=8.0, min=0.0, max=100.0, step=0.1, round=0.01),
                io.Combo.Input("sampler_name", tuple(SAMPLERS)),
                io.Combo.Input("scheduler", tuple(SCHEDULES)),
                io.Conditioning.Input("positive"),
                io.Conditioning.Input("negative"),
                io.Latent.Input("latent_image"),
                io.Int.Input("start_at_step", default=0, min=0, max=10000),
                io.Int.Input("end_at_step", default=10000, min=0, max=10000),
                io.Combo.Input("return_with_leftover_noise", ("disable", "enable")),
            ],
            outputs=[io.Latent.Output()],
            listed_combos=True,
        )

    @classmethod
    def execute(
        cls,
        model: DiffusionModel,
        add_noise: str,
        noise_seed: int,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        positive: Conditioning,
        negative: Conditioning,
        latent_image: Latent,
        start_at_step: int,
        end_at_step: int,
        return_with_leftover_noise: str,
        denoise: float = 1.0,
    ) -> NodeOutput:
        return NodeOutput(
            *common_ksampler(
                model,
                noise_seed,
                steps,
                cfg,
                sampler_name,
                scheduler,
                positive,
                negative,
                latent_image,
                denoise,
                disable_noise=add_noise == "disable",
                start_step=start_at_step,
                last_step=end_at_step,
                force_full_denoise=return_with_leftover_noise == "disable",
            )
        )


def common_ksampler(
    model: DiffusionModel,
    seed: int,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    positive: Conditioning,
    negative: Conditioning,
    latent: Latent,
    denoise: float = 1.0,
    disable_noise: bool = False,
    start_step: int | None = None,
    last_step: int | None = None,
    force_full_denoise: bool = False,
) -> tuple[Latent]:
    """Run the sampling of both nodes. Node packs call it by this name."""
    levels = model.parameterization.levels
    skips = sampler_name in SKIPS_LAST_LEVEL
    sigmas = step_range(
        schedule(levels, scheduler, steps, denoise=denoise, skip_last_level=skips, keep_surplus=True),
        start_step=start_step or 0,
        end_step=last_step,
        remains="nothing" if force_full_denoise else "noise",
    )
    noise: NoiseSource = NoNoise(seed) if disable_noise else SeededNoise(seed)
    guider = CfgGuider(model, positive, negative, cfg)
    result, _ = run_sampling(guider, sampler_named(sampler_name), sigmas, latent, noise)
    return (result,)
