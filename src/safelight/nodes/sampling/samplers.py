"""Nodes that choose a sampler and set its options."""

from typing import Any

import torch

from safelight.models.diffusion_model import DiffusionModel
from safelight.models.sampling.sample import ChosenSampler
from safelight.models.sampling.samplers import dpm_solver, multistep, one_step, stochastic
from safelight.models.sampling.samplers.table import SAMPLERS
from safelight.nodes.sampling.sample import sampler_named
from safelight.sdk import Node, NodeOutput, Schema, io

_CATEGORY = "sampling/custom_sampling/samplers"


def _number(id: str, default: float, *, max: float = 100.0, min: float = 0.0) -> io.Input:
    return io.Float.Input(id, default=default, min=min, max=max, step=0.01, round=False)


class KSamplerSelect(Node):
    """Choose a sampler by name, as the KSampler does."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="KSamplerSelect",
            category=_CATEGORY,
            inputs=[io.Combo.Input("sampler_name", tuple(SAMPLERS))],
            outputs=[io.Sampler.Output()],
        )

    @classmethod
    def execute(cls, sampler_name: str) -> NodeOutput:
        return NodeOutput(sampler_named(sampler_name))


class SamplerEulerAncestral(Node):
    """Choose Euler's method with fresh noise in each step. "eta" is the share of the possible noise that is added."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _schema("SamplerEulerAncestral", _number("eta", 1.0), _number("s_noise", 1.0))

    @classmethod
    def execute(cls, eta: float, s_noise: float) -> NodeOutput:
        return _chosen(one_step.euler_ancestral, eta=eta, s_noise=s_noise)


class SamplerEulerAncestralCFGPP(Node):
    """Choose Euler's method with CFG++ and fresh noise in each step."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _schema(
            "SamplerEulerAncestralCFGPP",
            _number("eta", 1.0, max=1.0),
            _number("s_noise", 1.0, max=10.0),
            display_name="SamplerEulerAncestralCFG++",
        )

    @classmethod
    def execute(cls, eta: float, s_noise: float) -> NodeOutput:
        return _chosen(one_step.euler_ancestral_cfg_pp, eta=eta, s_noise=s_noise)


class SamplerEulerCFGpp(Node):
    """Choose Euler's method with CFG++. The "alternative" version removes the noise of the negative prediction
    instead."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SamplerEulerCFGpp",
            display_name="SamplerEulerCFG++",
            category="_for_testing",
            inputs=[io.Combo.Input("version", ("regular", "alternative"))],
            outputs=[io.Sampler.Output()],
            is_experimental=True,
        )

    @classmethod
    def execute(cls, version: str) -> NodeOutput:
        return _chosen(one_step.euler_cfg_pp if version == "regular" else one_step.euler_cfg_pp_alternative)


class SamplerLMS(Node):
    """Choose the linear multistep method, which extrapolates from the last "order" steps."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _schema("SamplerLMS", io.Int.Input("order", default=4, min=1, max=100))

    @classmethod
    def execute(cls, order: int) -> NodeOutput:
        return _chosen(multistep.lms, order=order)


class SamplerDPMPP_2S_Ancestral(Node):  # noqa: N801
    """Choose DPM-Solver++ with two evaluations and fresh noise in each step."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _schema("SamplerDPMPP_2S_Ancestral", _number("eta", 1.0), _number("s_noise", 1.0))

    @classmethod
    def execute(cls, eta: float, s_noise: float) -> NodeOutput:
        return _chosen(dpm_solver.dpmpp_2s_ancestral, eta=eta, s_noise=s_noise)


class SamplerDPMPP_SDE(Node):  # noqa: N801
    """Choose DPM-Solver++ for the stochastic equation, with an evaluation inside each step; "r" is its position in the
    step (0 to 1)."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _schema(
            "SamplerDPMPP_SDE", _number("eta", 1.0), _number("s_noise", 1.0), _number("r", 0.5), _noise_device()
        )

    @classmethod
    def execute(cls, eta: float, s_noise: float, r: float, noise_device: str) -> NodeOutput:
        return _chosen(stochastic.dpmpp_sde, eta=eta, s_noise=s_noise, r=r, on_cpu=noise_device == "cpu")


class SamplerDPMPP_2M_SDE(Node):  # noqa: N801
    """Choose the second-order DPM-Solver++ for the stochastic equation."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _schema(
            "SamplerDPMPP_2M_SDE",
            io.Combo.Input("solver_type", ("midpoint", "heun")),
            _number("eta", 1.0),
            _number("s_noise", 1.0),
            _noise_device(),
        )

    @classmethod
    def execute(cls, solver_type: str, eta: float, s_noise: float, noise_device: str) -> NodeOutput:
        options = {"solver_type": solver_type, "eta": eta, "s_noise": s_noise, "on_cpu": noise_device == "cpu"}
        return _chosen(stochastic.dpmpp_2m_sde, **options)


class SamplerDPMPP_3M_SDE(Node):  # noqa: N801
    """Choose the third-order DPM-Solver++ for the stochastic equation."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _schema("SamplerDPMPP_3M_SDE", _number("eta", 1.0), _number("s_noise", 1.0), _noise_device())

    @classmethod
    def execute(cls, eta: float, s_noise: float, noise_device: str) -> NodeOutput:
        return _chosen(stochastic.dpmpp_3m_sde, eta=eta, s_noise=s_noise, on_cpu=noise_device == "cpu")


class SamplerDPMAdaptative(Node):
    """Choose DPM-Solver with adaptive step sizes, as long as its error allows. The schedule sets only the first and the
    last level."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _schema(
            "SamplerDPMAdaptative",
            io.Int.Input("order", default=3, min=2, max=3),
            _number("rtol", 0.05),
            _number("atol", 0.0078),
            _number("h_init", 0.05),
            _number("pcoeff", 0.0),
            _number("icoeff", 1.0),
            _number("dcoeff", 0.0),
            _number("accept_safety", 0.81),
            _number("eta", 0.0),
            _number("s_noise", 1.0),
        )

    @classmethod
    def execute(cls, **options: Any) -> NodeOutput:
        return _chosen(dpm_solver.dpm_adaptive, **options)


class SamplerER_SDE(Node):  # noqa: N801
    """Choose ER-SDE, a solver whose amount of fresh noise can be set, from none ("ODE") up."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _schema(
            "SamplerER_SDE",
            io.Combo.Input("solver_type", ("ER-SDE", "Reverse-time SDE", "ODE")),
            io.Int.Input("max_stage", default=3, min=1, max=3),
            _number("eta", 1.0),
            _number("s_noise", 1.0),
        )

    @classmethod
    def execute(cls, solver_type: str, max_stage: int, eta: float, s_noise: float) -> NodeOutput:
        if solver_type == "ODE" or (solver_type == "Reverse-time SDE" and eta == 0):
            return _chosen(stochastic.er_sde, max_stage=max_stage, s_noise=0.0, noise_scaler=_identity)
        if solver_type == "Reverse-time SDE":
            return _chosen(stochastic.er_sde, max_stage=max_stage, s_noise=s_noise, noise_scaler=_Power(eta + 1))
        return _chosen(stochastic.er_sde, max_stage=max_stage, s_noise=s_noise)


class SamplerSASolver(Node):
    """Choose SA-Solver, Adams' method for the stochastic equation. Noise is added between "sde_start_percent" and
    "sde_end_percent" of sampling."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _schema(
            "SamplerSASolver",
            io.Model.Input("model"),
            _number("eta", 1.0, max=10.0),
            io.Float.Input("sde_start_percent", default=0.2, min=0.0, max=1.0, step=0.001),
            io.Float.Input("sde_end_percent", default=0.8, min=0.0, max=1.0, step=0.001),
            _number("s_noise", 1.0),
            io.Int.Input("predictor_order", default=3, min=1, max=6),
            io.Int.Input("corrector_order", default=4, min=0, max=6),
            io.Boolean.Input("use_pece"),
            io.Boolean.Input("simple_order_2"),
        )

    @classmethod
    def execute(
        cls,
        model: DiffusionModel,
        eta: float,
        sde_start_percent: float,
        sde_end_percent: float,
        s_noise: float,
        predictor_order: int,
        corrector_order: int,
        use_pece: bool,
        simple_order_2: bool,
    ) -> NodeOutput:
        return _chosen(
            stochastic.sa_solver,
            eta=eta,
            s_noise=s_noise,
            predictor_order=predictor_order,
            corrector_order=corrector_order,
            use_pece=use_pece,
            simple_order_2=simple_order_2,
            stochastic_from=sde_start_percent,
            stochastic_to=sde_end_percent,
        )


class SamplerSEEDS2(Node):
    """Choose SEEDS-2, with an evaluation inside each step; "r" is its position in the step (0 to 1)."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _schema(
            "SamplerSEEDS2",
            io.Combo.Input("solver_type", ("phi_1", "phi_2")),
            _number("eta", 1.0),
            _number("s_noise", 1.0),
            _number("r", 0.5, min=0.01, max=1.0),
        )

    @classmethod
    def execute(cls, solver_type: str, eta: float, s_noise: float, r: float) -> NodeOutput:
        return _chosen(stochastic.seeds_2, solver_type=solver_type, eta=eta, s_noise=s_noise, r=r)


def _identity(level: torch.Tensor) -> torch.Tensor:
    return level


class _Power:
    def __init__(self, exponent: float) -> None:
        self._exponent = exponent

    def __call__(self, level: torch.Tensor) -> torch.Tensor:
        return level**self._exponent


def _noise_device() -> io.Input:
    return io.Combo.Input("noise_device", ("gpu", "cpu"))


def _schema(node_id: str, *inputs: io.Input, display_name: str | None = None) -> Schema:
    return Schema(
        node_id=node_id,
        display_name=display_name,
        category=_CATEGORY,
        inputs=list(inputs),
        outputs=[io.Sampler.Output()],
    )


def _chosen(function: Any, **options: Any) -> NodeOutput:
    return NodeOutput(ChosenSampler(function, options))
