"""Sampling from separate parts: a guider, a sampler, a noise schedule and a noise source."""

import torch

from safelight.models.diffusion_model import DiffusionModel
from safelight.models.sampling.guidance import CfgGuider, DualCfgGuider, Guider, PositiveGuider
from safelight.models.sampling.part_guidance import PartGuider
from safelight.models.sampling.sample import ChosenSampler
from safelight.nodes.conditioning.options import Conditioning
from safelight.nodes.latent.samples import Latent
from safelight.nodes.sampling.ksampler import MAX_SEED
from safelight.nodes.sampling.noise import NoiseSource, NoNoise, SeededNoise
from safelight.nodes.sampling.sample import run_sampling
from safelight.sdk import Node, NodeOutput, Schema, io


class SamplerCustom(Node):
    """Denoise a latent with a sampler and a noise schedule of your choice."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SamplerCustom",
            category="sampling/custom_sampling",
            inputs=[
                io.Model.Input("model"),
                io.Boolean.Input("add_noise", default=True),
                io.Int.Input("noise_seed", default=0, min=0, max=MAX_SEED, control_after_generate=True),
                io.Float.Input("cfg", default=8.0, min=0.0, max=100.0, step=0.1, round=0.01),
                io.Conditioning.Input("positive"),
                io.Conditioning.Input("negative"),
                io.Sampler.Input("sampler"),
                io.Sigmas.Input("sigmas"),
                io.Latent.Input("latent_image"),
            ],
            outputs=[io.Latent.Output(display_name="output"), io.Latent.Output(display_name="denoised_output")],
        )

    @classmethod
    def execute(
        cls,
        model: DiffusionModel,
        add_noise: bool,
        noise_seed: int,
        cfg: float,
        positive: Conditioning,
        negative: Conditioning,
        sampler: ChosenSampler,
        sigmas: torch.Tensor,
        latent_image: Latent,
    ) -> NodeOutput:
        noise: NoiseSource = SeededNoise(noise_seed) if add_noise else NoNoise(noise_seed)
        guider = CfgGuider(model, positive, negative, cfg)
        return NodeOutput(*run_sampling(guider, sampler, sigmas, latent_image, noise))


class SamplerCustomAdvanced(Node):
    """Denoise a latent with a guider, a sampler, a noise schedule and a noise source of your choice."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SamplerCustomAdvanced",
            category="sampling/custom_sampling",
            inputs=[
                io.Noise.Input("noise"),
                io.Guider.Input("guider"),
                io.Sampler.Input("sampler"),
                io.Sigmas.Input("sigmas"),
                io.Latent.Input("latent_image"),
            ],
            outputs=[io.Latent.Output(display_name="output"), io.Latent.Output(display_name="denoised_output")],
        )

    @classmethod
    def execute(
        cls, noise: NoiseSource, guider: Guider, sampler: ChosenSampler, sigmas: torch.Tensor, latent_image: Latent
    ) -> NodeOutput:
        return NodeOutput(*run_sampling(guider, sampler, sigmas, latent_image, noise))


class BasicGuider(Node):
    """Follow one conditioning without guidance, for distilled models."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="BasicGuider",
            category="sampling/custom_sampling/guiders",
            inputs=[io.Model.Input("model"), io.Conditioning.Input("conditioning")],
            outputs=[io.Guider.Output()],
        )

    @classmethod
    def execute(cls, model: DiffusionModel, conditioning: Conditioning) -> NodeOutput:
        return NodeOutput(PositiveGuider(model, conditioning))


class CFGGuider(Node):
    """Guide from the negative conditioning to the positive one, as the KSampler does. "cfg" is the strength."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="CFGGuider",
            category="sampling/custom_sampling/guiders",
            inputs=[
                io.Model.Input("model"),
                io.Conditioning.Input("positive"),
                io.Conditioning.Input("negative"),
                io.Float.Input("cfg", default=8.0, min=0.0, max=100.0, step=0.1, round=0.01),
            ],
            outputs=[io.Guider.Output()],
        )

    @classmethod
    def execute(cls, model: DiffusionModel, positive: Conditioning, negative: Conditioning, cfg: float) -> NodeOutput:
        return NodeOutput(CfgGuider(model, positive, negative, cfg))


class DualCFGGuider(Node):
    """Guide by two conditionings: from the negative one to "cond2", and from there to "cond1". Each has its own
    strength."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="DualCFGGuider",
            category="sampling/custom_sampling/guiders",
            inputs=[
                io.Model.Input("model"),
                io.Conditioning.Input("cond1"),
                io.Conditioning.Input("cond2"),
                io.Conditioning.Input("negative"),
                io.Float.Input("cfg_conds", default=8.0, min=0.0, max=100.0, step=0.1, round=0.01),
                io.Float.Input("cfg_cond2_negative", default=8.0, min=0.0, max=100.0, step=0.1, round=0.01),
                io.Combo.Input("style", ("regular", "nested")),
            ],
            outputs=[io.Guider.Output()],
            search_aliases=["dual prompt guidance"],
        )

    @classmethod
    def execute(
        cls,
        model: DiffusionModel,
        cond1: Conditioning,
        cond2: Conditioning,
        negative: Conditioning,
        cfg_conds: float,
        cfg_cond2_negative: float,
        style: str,
    ) -> NodeOutput:
        nested = style == "nested"
        return NodeOutput(DualCfgGuider(model, cond1, cond2, negative, cfg_conds, cfg_cond2_negative, nested))


class LTXVDualCFGGuider(Node):
    """Guide the video and the audio of LTX-2 from the negative conditioning to the positive one, each with a strength
    of its own. A latent of a video alone uses "video_cfg"."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LTXVDualCFGGuider",
            display_name="LTXV Dual CFG Guider",
            category="sampling/custom_sampling/guiders",
            inputs=[
                io.Model.Input("model"),
                io.Conditioning.Input("positive"),
                io.Conditioning.Input("negative"),
                io.Float.Input("video_cfg", default=3.0, min=0.0, max=100.0, step=0.1, round=0.01),
                io.Float.Input("audio_cfg", default=7.0, min=0.0, max=100.0, step=0.1, round=0.01),
            ],
            outputs=[io.Guider.Output()],
        )

    @classmethod
    def execute(
        cls,
        model: DiffusionModel,
        positive: Conditioning,
        negative: Conditioning,
        video_cfg: float,
        audio_cfg: float,
    ) -> NodeOutput:
        return NodeOutput(PartGuider(model, positive, negative, (video_cfg, audio_cfg)))
