"""Nodes that change the direction or the magnitude of guidance, from the negative prediction to the positive one.

Tangential damping: Kwon et al. 2025. Adaptive projected guidance: Sadat et al. 2024. FreSca: Huang et al. 2025. Epsilon
scaling: Ning et al. 2023. Temporal score rescaling: Xu et al. 2025. All predictions are noise-free
latents ``[B, C, h, w]``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch

from safelight.models.diffusion_model import DiffusionModel
from safelight.models.sampling.guidance import Guidance, options_of
from safelight.nodes.latent.operations import Operation
from safelight.nodes.model.guidance import after_guidance
from safelight.sdk import Node, NodeOutput, Schema, io

_IMAGE_DIMENSIONS = (1, 2, 3)


def _before_guidance(model: DiffusionModel, change: Callable[[Guidance], Guidance]) -> NodeOutput:
    options = options_of(model)
    return NodeOutput(model.with_(options=options.with_(before=(*options.before, change))))


class Mahiro(Node):
    """Mix the guided prediction with the positive one. The more the guided one resembles the negative prediction, the
    more of it is used."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="Mahiro",
            display_name="Mahiro CFG",
            category="_for_testing",
            inputs=[io.Model.Input("model")],
            outputs=[io.Model.Output(display_name="patched_model")],
            is_experimental=True,
        )

    @classmethod
    def execute(cls, model: DiffusionModel) -> NodeOutput:
        def mixed(guidance: Guidance, guided: torch.Tensor) -> torch.Tensor:
            to, away = guidance.positive * guidance.scale, guidance.negative * guidance.scale
            similarity = torch.cosine_similarity(_root(away), _root((to + guided) / 2)).mean()
            weight = 2 * (similarity + 1)
            return (weight * guided + (4 - weight) * to) / 4

        return after_guidance(model, mixed)


def _root(values: torch.Tensor) -> torch.Tensor:
    return values.abs().sqrt() * values.sign()


class TCFG(Node):
    """Keep only the component of the negative prediction that it shares with the positive one (tangential damping), for
    fewer artifacts."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="TCFG",
            display_name="Tangential Damping CFG",
            category="advanced/guidance",
            inputs=[io.Model.Input("model")],
            outputs=[io.Model.Output(display_name="patched_model")],
        )

    @classmethod
    def execute(cls, model: DiffusionModel) -> NodeOutput:
        def damped(guidance: Guidance) -> Guidance:
            positive, negative = guidance.x - guidance.positive, guidance.x - guidance.negative
            both = torch.stack((positive.flatten(1), negative.flatten(1)), dim=1).float()
            common = torch.linalg.svd(both, full_matrices=False).Vh[:, :1]
            along = (both[:, 1:] @ common.transpose(1, 2)) @ common
            return replace(guidance, negative=guidance.x - along.reshape(negative.shape).to(negative))

        return _before_guidance(model, damped)


class APG(Node):
    """Guide with less oversaturation. "eta" scales the part of the guidance that is parallel to the positive
    prediction, "norm_threshold" limits its magnitude (0 is no limit), and a negative "momentum" counteracts the
    guidance of earlier steps."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="APG",
            display_name="Adaptive Projected Guidance",
            category="sampling/custom_sampling",
            inputs=[
                io.Model.Input("model"),
                io.Float.Input("eta", default=1.0, min=-10.0, max=10.0, step=0.01),
                io.Float.Input("norm_threshold", default=5.0, min=0.0, max=50.0, step=0.1),
                io.Float.Input("momentum", default=0.0, min=-5.0, max=1.0, step=0.01),
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, model: DiffusionModel, eta: float, norm_threshold: float, momentum: float) -> NodeOutput:
        return _before_guidance(model, _Projected(eta, norm_threshold, momentum))


@dataclass(eq=False)
class _Projected:
    eta: float
    norm_threshold: float
    momentum: float
    _mean: torch.Tensor | None = field(default=None, init=False)
    _sigma: float = field(default=0.0, init=False)

    def __call__(self, guidance: Guidance) -> Guidance:
        direction = guidance.positive - guidance.negative
        if self.momentum:
            sigma = float(guidance.sigma)
            fits = self._mean is not None and sigma <= self._sigma and self._mean.shape == direction.shape
            if fits and self._mean is not None:  # otherwise a new run begins
                direction = direction + self.momentum * self._mean
            self._mean, self._sigma = direction, sigma
        if self.norm_threshold > 0:
            length = torch.linalg.vector_norm(direction, dim=_IMAGE_DIMENSIONS, keepdim=True)
            direction = direction * (self.norm_threshold / length).clamp(max=1.0)
        unit = guidance.positive / torch.linalg.vector_norm(guidance.positive, dim=_IMAGE_DIMENSIONS, keepdim=True)
        along = (direction * unit).sum(_IMAGE_DIMENSIONS, keepdim=True) * unit
        direction = direction - along + self.eta * along
        rest = (guidance.positive - guidance.negative) / guidance.scale
        return replace(guidance, positive=guidance.negative + direction + rest)


class FreSca(Node):
    """Scale the low and the high frequencies of guidance separately: composition and detail. "freq_cutoff" is where
    high frequencies begin."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="FreSca",
            display_name="FreSca",
            category="_for_testing",
            inputs=[
                io.Model.Input("model"),
                io.Float.Input("scale_low", default=1.0, min=0, max=10, step=0.01),
                io.Float.Input("scale_high", default=1.25, min=0, max=10, step=0.01),
                io.Int.Input("freq_cutoff", default=20, min=1, max=10000, step=1),
            ],
            outputs=[io.Model.Output()],
            is_experimental=True,
        )

    @classmethod
    def execute(cls, model: DiffusionModel, scale_low: float, scale_high: float, freq_cutoff: int) -> NodeOutput:
        def reweighted(guidance: Guidance) -> Guidance:
            direction = guidance.positive - guidance.negative
            dimensions = (-2, -1)
            spectrum = torch.fft.fftshift(torch.fft.fftn(direction.float(), dim=dimensions), dim=dimensions)
            scales = torch.full(direction.shape[-2:], scale_high, device=direction.device)
            center = [(side // 2, min(freq_cutoff, side // 2)) for side in direction.shape[-2:]]
            rows, columns = (slice(middle - reach, middle + reach) for middle, reach in center)
            scales[rows, columns] = scale_low
            back = torch.fft.ifftn(torch.fft.ifftshift(spectrum * scales, dim=dimensions), dim=dimensions).real
            return replace(guidance, positive=guidance.negative + back.to(direction))

        return _before_guidance(model, reweighted)


class EpsilonScaling(Node):
    """Divide the predicted noise by a factor slightly above 1, which counters the drift over many steps."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="Epsilon Scaling",
            category="model_patches/unet",
            inputs=[
                io.Model.Input("model"),
                io.Float.Input("scaling_factor", default=1.005, min=0.5, max=1.5, step=0.001, display="number"),
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, model: DiffusionModel, scaling_factor: float) -> NodeOutput:
        def scaled(guidance: Guidance, guided: torch.Tensor) -> torch.Tensor:
            return guidance.x - (guidance.x - guided) / scaling_factor

        return after_guidance(model, scaled)


class TemporalScoreRescaling(Node):
    """Sharpen ("tsr_k" below 1) or smooth (above 1) what is sampled, as a lower or higher temperature would; with a
    larger "tsr_sigma" from earlier steps on."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="TemporalScoreRescaling",
            display_name="TSR - Temporal Score Rescaling",
            category="model_patches/unet",
            inputs=[
                io.Model.Input("model"),
                io.Float.Input("tsr_k", default=0.95, min=0.01, max=100.0, step=0.001, display="number"),
                io.Float.Input("tsr_sigma", default=1.0, min=0.01, max=100.0, step=0.001, display="number"),
            ],
            outputs=[io.Model.Output(display_name="patched_model")],
        )

    @classmethod
    def execute(cls, model: DiffusionModel, tsr_k: float, tsr_sigma: float) -> NodeOutput:
        def rescaled(guidance: Guidance, guided: torch.Tensor) -> torch.Tensor:
            signal_to_noise = guidance.model.parameterization.half_log_snr(guidance.sigma).exp()
            if not float(guidance.sigma) or not float(signal_to_noise):
                return guided
            noise = signal_to_noise**-2
            factor = (tsr_sigma**2 + noise) / (tsr_sigma**2 / tsr_k + noise)
            return torch.lerp(guidance.x / (guidance.sigma * signal_to_noise), guided, factor)

        return after_guidance(model, rescaled)


class LatentApplyOperationCFG(Node):
    """Apply an operation to the guidance (the difference of the positive and the negative prediction) at each step."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LatentApplyOperationCFG",
            category="latent/advanced/operations",
            inputs=[io.Model.Input("model"), io.LatentOperation.Input("operation")],
            outputs=[io.Model.Output()],
            is_experimental=True,
        )

    @classmethod
    def execute(cls, model: DiffusionModel, operation: Operation) -> NodeOutput:
        def applied(guidance: Guidance) -> Guidance:
            direction = operation(latent=guidance.positive - guidance.negative)
            return replace(guidance, positive=guidance.negative + direction)

        return _before_guidance(model, applied)


class VideoLinearCFGGuidance(Node):
    """Increase guidance evenly over a video, from "min_cfg" at the first frame to the sampler's value at the last."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _of_frames("VideoLinearCFGGuidance")

    @classmethod
    def execute(cls, model: DiffusionModel, min_cfg: float) -> NodeOutput:
        return _by_frames(model, min_cfg, lambda position: position)


class VideoTriangleCFGGuidance(Node):
    """Increase guidance from "min_cfg" at the first and the last frame of a video to the sampler's value in the
    middle."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _of_frames("VideoTriangleCFGGuidance")

    @classmethod
    def execute(cls, model: DiffusionModel, min_cfg: float) -> NodeOutput:
        return _by_frames(model, min_cfg, lambda position: 2 * (position - (position + 0.5).floor()).abs())


def _of_frames(node_id: str) -> Schema:
    return Schema(
        node_id=node_id,
        category="sampling/video_models",
        inputs=[
            io.Model.Input("model"),
            io.Float.Input("min_cfg", default=1.0, min=0.0, max=100.0, step=0.5, round=0.01),
        ],
        outputs=[io.Model.Output()],
    )


def _by_frames(model: DiffusionModel, least: float, rise: Callable[[torch.Tensor], torch.Tensor]) -> NodeOutput:
    """``rise``: from a frame's position in 0..1 to how far its scale is from ``least`` to the sampler's."""

    def guided(guidance: Guidance) -> torch.Tensor:
        positions = torch.linspace(0, 1, len(guidance.positive), device=guidance.positive.device)
        scales = (least + rise(positions) * (guidance.scale - least)).reshape(-1, 1, 1, 1)
        return guidance.negative + scales * (guidance.positive - guidance.negative)

    return NodeOutput(model.with_(options=options_of(model).with_(combine=guided)))
