"""Nodes that change how predictions are combined.

RescaleCFG: Lin et al. 2023, section 3.4. CFG-Zero*: Fan et al. 2025. Perturbed attention: Ahn et al. 2024.
Self-attention guidance: Hong et al. 2023. Differential diffusion: Levin and Fried 2023. Perp-Neg: Armandpour et al.
2023.
"""

import math
from dataclasses import dataclass, field, replace

import torch
from torch.nn import functional

from safelight.models.diffusion_model import DiffusionModel
from safelight.models.network_hooks import Attend, Attention, NetworkHooks
from safelight.models.sampling.guidance import Guidance, options_of
from safelight.models.sampling.guidance import PerpNegGuider as PerpNeg
from safelight.nodes.conditioning.options import Conditioning
from safelight.nodes.model.unet_only import require_unet
from safelight.sdk import Node, NodeOutput, Schema, io


def after_guidance(model: DiffusionModel, change: object, **options: object) -> NodeOutput:
    """The model with one more change after guidance."""
    known = options_of(model)
    return NodeOutput(model.with_(options=known.with_(after=(*known.after, change), **options)))


class RescaleCFG(Node):
    """Rescale guided predictions to the contrast of the positive one, against images that strong guidance
    oversaturates. "multiplier" is how much of the rescaled prediction is used."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="RescaleCFG",
            category="advanced/model",
            inputs=[
                io.Model.Input("model"),
                io.Float.Input("multiplier", default=0.7, min=0.0, max=1.0, step=0.01),
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, model: DiffusionModel, multiplier: float) -> NodeOutput:
        options = options_of(model)
        return NodeOutput(model.with_(options=options.with_(combine=_Rescaled(multiplier))))


@dataclass(frozen=True)
class _Rescaled:
    """Computed on velocities, which the networks of the paper predict."""

    multiplier: float

    def __call__(self, guidance: Guidance) -> torch.Tensor:
        root = (guidance.sigma**2 + 1).sqrt()
        x = guidance.x / root**2

        def velocity(denoised: torch.Tensor) -> torch.Tensor:
            return (x - denoised) * root / guidance.sigma

        positive, negative = velocity(guidance.positive), velocity(guidance.negative)
        guided = negative + (positive - negative) * guidance.scale
        dimensions = (1, 2, 3)
        rescaled = guided * (positive.std(dimensions, keepdim=True) / guided.std(dimensions, keepdim=True))
        mixed = torch.lerp(guided, rescaled, self.multiplier)
        result: torch.Tensor = x - mixed * guidance.sigma / root
        return result


class RenormCFG(Node):
    """Limit the length of guided predictions to that of the positive one, times "renorm_cfg" (0: no limit); above the
    noise level "cfg_trunc" there is no guidance (Lumina Image 2)."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="RenormCFG",
            category="advanced/model",
            inputs=[
                io.Model.Input("model"),
                io.Float.Input("cfg_trunc", default=100, min=0.0, max=100.0, step=0.01),
                io.Float.Input("renorm_cfg", default=1.0, min=0.0, max=100.0, step=0.01),
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, model: DiffusionModel, cfg_trunc: float, renorm_cfg: float) -> NodeOutput:
        def combine(guidance: Guidance) -> torch.Tensor:
            if float(guidance.sigma) >= cfg_trunc:
                return guidance.positive
            guided = guidance.negative + (guidance.positive - guidance.negative) * guidance.scale
            if renorm_cfg <= 0:
                return guided
            dimensions = tuple(range(1, guided.dim()))
            limit = torch.linalg.vector_norm(guidance.positive, dim=dimensions, keepdim=True) * renorm_cfg
            length = torch.linalg.vector_norm(guided, dim=dimensions, keepdim=True)
            return guided * torch.where(length >= limit, limit / length, torch.ones_like(length))

        return NodeOutput(model.with_(options=options_of(model).with_(combine=combine)))


class CFGOverride(Node):
    """Use another strength of guidance from "start_percent" to "end_percent" of sampling. Of several, the last one
    counts."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="CFGOverride",
            display_name="CFG Override",
            category="advanced/guidance",
            inputs=[
                io.Model.Input("model"),
                io.Float.Input("cfg", default=1.0, min=0.0, max=100.0, step=0.1),
                io.Float.Input("start_percent", default=0.0, min=0.0, max=1.0, step=0.001),
                io.Float.Input("end_percent", default=1.0, min=0.0, max=1.0, step=0.001),
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, model: DiffusionModel, cfg: float, start_percent: float, end_percent: float) -> NodeOutput:
        levels = model.parameterization.levels
        first, last = levels.sigma_at(start_percent), levels.sigma_at(end_percent)

        def overridden(guidance: Guidance) -> Guidance:
            return replace(guidance, scale=cfg) if last <= float(guidance.sigma) <= first else guidance

        options = options_of(model)
        changed = options.with_(before=(*options.before, overridden), needs_negative=options.needs_negative or cfg != 1)
        return NodeOutput(model.with_(options=changed))


class CFGNorm(Node):
    """Limit the magnitude of guided predictions, at each position, to that of the positive one, times "strength"."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="CFGNorm",
            category="advanced/guidance",
            inputs=[io.Model.Input("model"), io.Float.Input("strength", default=1.0, min=0.0, max=100.0, step=0.01)],
            outputs=[io.Model.Output(display_name="patched_model")],
            is_experimental=True,
        )

    @classmethod
    def execute(cls, model: DiffusionModel, strength: float) -> NodeOutput:
        def normed(guidance: Guidance, guided: torch.Tensor) -> torch.Tensor:
            wanted = torch.linalg.vector_norm(guidance.positive, dim=1, keepdim=True)
            length = torch.linalg.vector_norm(guided, dim=1, keepdim=True)
            kept: torch.Tensor = (wanted / (length + 1e-8)).clamp(0, 1)
            return guided * kept * strength

        return after_guidance(model, normed)


class CFGZeroStar(Node):
    """Scale the negative prediction to fit the positive one before guidance is applied (CFG-Zero*), for flow models."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="CFGZeroStar",
            category="advanced/guidance",
            inputs=[io.Model.Input("model")],
            outputs=[io.Model.Output(display_name="patched_model")],
        )

    @classmethod
    def execute(cls, model: DiffusionModel) -> NodeOutput:
        def fitted(guidance: Guidance, guided: torch.Tensor) -> torch.Tensor:
            to, away = guidance.x - guidance.positive, guidance.x - guidance.negative
            dimensions = (1, 2, 3)
            best = (to * away).sum(dimensions, keepdim=True) / ((away**2).sum(dimensions, keepdim=True) + 1e-8)
            return guided + guidance.negative * (best - 1) * (1 - guidance.scale)

        return after_guidance(model, fitted)


class PerturbedAttentionGuidance(Node):
    """Guide away from what the model predicts with self-attention turned off in its middle block. "scale" is the
    strength."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="PerturbedAttentionGuidance",
            category="model_patches/unet",
            inputs=[
                io.Model.Input("model"),
                io.Float.Input("scale", default=3.0, min=0.0, max=100.0, step=0.01, round=0.01),
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, model: DiffusionModel, scale: float) -> NodeOutput:
        def away(guidance: Guidance, guided: torch.Tensor) -> torch.Tensor:
            if scale == 0:
                return guided
            perturbed = guidance.reevaluate("positive", guidance.x, NetworkHooks(attention=(_values_alone,)))
            return guided + (guidance.positive - perturbed) * scale

        return after_guidance(require_unet(model, node="PerturbedAttentionGuidance"), away)


def _values_alone(attention: Attention, attend: Attend) -> torch.Tensor:
    if attention.is_self and attention.block.section == "middle":
        return attention.v
    return attend(attention)


class SelfAttentionGuidance(Node):
    """Guide away from what the model predicts when the regions that it attends to most are blurred. "scale" is the
    strength."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SelfAttentionGuidance",
            display_name="Self-Attention Guidance",
            category="_for_testing",
            inputs=[
                io.Model.Input("model"),
                io.Float.Input("scale", default=0.5, min=-2.0, max=5.0, step=0.01),
                io.Float.Input("blur_sigma", default=2.0, min=0.0, max=10.0, step=0.1),
            ],
            outputs=[io.Model.Output()],
            is_experimental=True,
        )

    @classmethod
    def execute(cls, model: DiffusionModel, scale: float, blur_sigma: float) -> NodeOutput:
        def away(guidance: Guidance, guided: torch.Tensor) -> torch.Tensor:
            if min(guidance.x.shape[2:]) <= 4:  # too small to blur
                return guided
            recorder = _AttentionRecorder()
            negative = guidance.reevaluate("negative", guidance.x, NetworkHooks(attention=(recorder,)))
            if not recorder.maps:
                return guided
            blurred = _blurred_where_attended(negative, recorder.maps[-1], blur_sigma)
            other = guidance.reevaluate("negative", blurred + guidance.x - negative, NetworkHooks())
            return guided + (blurred - other) * scale

        return after_guidance(require_unet(model, node="SelfAttentionGuidance"), away, needs_negative=True)


@dataclass(eq=False)
class _AttentionRecorder:
    """Records the attention that each position of the middle block receives, ``[B, tokens]``, and the map's size."""

    maps: list[tuple[torch.Tensor, tuple[int, int]]] = field(default_factory=list)

    def __call__(self, attention: Attention, attend: Attend) -> torch.Tensor:
        if attention.is_self and attention.block.section == "middle" and attention.block.transformer == 0:
            heads = attention.heads
            q, k = (t.reshape(*t.shape[:2], heads, -1).transpose(1, 2) for t in (attention.q, attention.k))
            weights = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]), dim=-1)
            self.maps.append((weights.mean(dim=1).sum(dim=1), attention.size))
        return attend(attention)


_BLUR_KERNEL = 9


def _blurred_where_attended(
    latent: torch.Tensor, attended: tuple[torch.Tensor, tuple[int, int]], sigma: float
) -> torch.Tensor:
    weights, size = attended
    mask = (weights > 1.0).to(latent).reshape(-1, 1, *size)
    mask = functional.interpolate(mask, size=tuple(latent.shape[2:]))
    return torch.lerp(latent, _gaussian(latent, sigma), mask)


def _gaussian(planes: torch.Tensor, sigma: float) -> torch.Tensor:
    reach = torch.linspace(-(_BLUR_KERNEL - 1) / 2, (_BLUR_KERNEL - 1) / 2, _BLUR_KERNEL).to(planes)
    bell = torch.exp(-0.5 * (reach / max(sigma, 1e-6)) ** 2)
    bell = bell / bell.sum()
    channels = planes.shape[1]
    kernel = torch.outer(bell, bell).expand(channels, 1, -1, -1)
    padding = min(_BLUR_KERNEL // 2, *(side - 1 for side in planes.shape[2:]))
    padded = functional.pad(planes, [padding] * 4, mode="reflect")
    missing = _BLUR_KERNEL // 2 - padding
    padded = functional.pad(padded, [missing] * 4, mode="replicate") if missing else padded
    return functional.conv2d(padded, kernel, groups=channels)


class DifferentialDiffusion(Node):
    """Repaint each region by how bright its mask is: gray ones change a little, white ones completely."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="DifferentialDiffusion",
            display_name="Differential Diffusion",
            category="_for_testing",
            inputs=[
                io.Model.Input("model"),
                io.Float.Input("strength", default=1.0, min=0.0, max=1.0, step=0.01, optional=True),
            ],
            outputs=[io.Model.Output()],
            is_experimental=True,
        )

    @classmethod
    def execute(cls, model: DiffusionModel, strength: float = 1.0) -> NodeOutput:
        return NodeOutput(model.with_(options=options_of(model).with_(mask=_Threshold(strength))))


@dataclass(frozen=True)
class _Threshold:
    """At each level, the parts of the mask that are brighter than the remaining share of sampling."""

    strength: float

    def __call__(
        self, mask: torch.Tensor, sigma: torch.Tensor, sigmas: torch.Tensor, model: DiffusionModel
    ) -> torch.Tensor:
        levels = model.parameterization.levels
        last = sigmas[-1] if sigmas[-1] > 0 else model.parameterization.sigma_min
        first, here, end = (levels.timestep(level.to(torch.float32).cpu()) for level in (sigmas[0], sigma, last))
        threshold = (here - end) / (first - end).clamp_min(1e-9)
        return torch.lerp(mask, (mask >= float(threshold)).to(mask), self.strength)


class PerpNegGuider(Node):
    """Guide away only from what the negative conditioning does not share with the positive one. "neg_scale" is the
    strength of the negative."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="PerpNegGuider",
            category="_for_testing",
            inputs=[
                io.Model.Input("model"),
                io.Conditioning.Input("positive"),
                io.Conditioning.Input("negative"),
                io.Conditioning.Input("empty_conditioning"),
                io.Float.Input("cfg", default=8.0, min=0.0, max=100.0, step=0.1, round=0.01),
                io.Float.Input("neg_scale", default=1.0, min=0.0, max=100.0, step=0.01),
            ],
            outputs=[io.Guider.Output()],
            is_experimental=True,
        )

    @classmethod
    def execute(
        cls,
        model: DiffusionModel,
        positive: Conditioning,
        negative: Conditioning,
        empty_conditioning: Conditioning,
        cfg: float,
        neg_scale: float,
    ) -> NodeOutput:
        return NodeOutput(PerpNeg(model, positive, negative, empty_conditioning, cfg, neg_scale))
