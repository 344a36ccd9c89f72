"""Samplers by the names that workflows use, in the order in which the UI offers them."""

from collections.abc import Mapping
from functools import partial

from safelight.models.sampling.samplers import dpm_solver, multistep, one_step, stochastic
from safelight.models.sampling.samplers.sampling_context import Sampler

SAMPLERS: Mapping[str, Sampler] = {
    "euler": one_step.euler,
    "euler_cfg_pp": one_step.euler_cfg_pp,
    "euler_ancestral": one_step.euler_ancestral,
    "euler_ancestral_cfg_pp": one_step.euler_ancestral_cfg_pp,
    "heun": one_step.heun,
    "heunpp2": one_step.heunpp2,
    "exp_heun_2_x0": stochastic.exp_heun_2_x0,
    "exp_heun_2_x0_sde": stochastic.exp_heun_2_x0_sde,
    "dpm_2": one_step.dpm_2,
    "dpm_2_ancestral": one_step.dpm_2_ancestral,
    "lms": multistep.lms,
    "dpm_fast": dpm_solver.dpm_fast,
    "dpm_adaptive": dpm_solver.dpm_adaptive,
    "dpmpp_2s_ancestral": dpm_solver.dpmpp_2s_ancestral,
    "dpmpp_2s_ancestral_cfg_pp": dpm_solver.dpmpp_2s_ancestral_cfg_pp,
    "dpmpp_sde": stochastic.dpmpp_sde,
    "dpmpp_sde_gpu": partial(stochastic.dpmpp_sde, on_cpu=False),
    "dpmpp_2m": multistep.dpmpp_2m,
    "dpmpp_2m_cfg_pp": multistep.dpmpp_2m_cfg_pp,
    "dpmpp_2m_sde": stochastic.dpmpp_2m_sde,
    "dpmpp_2m_sde_gpu": partial(stochastic.dpmpp_2m_sde, on_cpu=False),
    "dpmpp_2m_sde_heun": partial(stochastic.dpmpp_2m_sde, solver_type="heun"),
    "dpmpp_2m_sde_heun_gpu": partial(stochastic.dpmpp_2m_sde, solver_type="heun", on_cpu=False),
    "dpmpp_3m_sde": stochastic.dpmpp_3m_sde,
    "dpmpp_3m_sde_gpu": partial(stochastic.dpmpp_3m_sde, on_cpu=False),
    "ddpm": one_step.ddpm,
    "lcm": one_step.lcm,
    "ipndm": multistep.ipndm,
    "ipndm_v": multistep.ipndm_v,
    "deis": multistep.deis,
    "res_multistep": multistep.res_multistep,
    "res_multistep_cfg_pp": multistep.res_multistep_cfg_pp,
    "res_multistep_ancestral": multistep.res_multistep_ancestral,
    "res_multistep_ancestral_cfg_pp": multistep.res_multistep_ancestral_cfg_pp,
    "gradient_estimation": multistep.gradient_estimation,
    "gradient_estimation_cfg_pp": multistep.gradient_estimation_cfg_pp,
    "er_sde": stochastic.er_sde,
    "seeds_2": stochastic.seeds_2,
    "seeds_3": stochastic.seeds_3,
    "sa_solver": stochastic.sa_solver,
    "sa_solver_pece": stochastic.sa_solver_pece,
    "ddim": one_step.euler,
    "uni_pc": multistep.uni_pc,
    "uni_pc_bh2": multistep.uni_pc_bh2,
}

SKIPS_LAST_LEVEL = frozenset({"dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2"})
"""Samplers whose schedules have one level more, without the last level above 0."""

FRESH_NOISE_OUTSIDE = frozenset({"ddim"})
"""Samplers that keep the latent outside of a mask under fresh noise instead of the noise that sampling started from."""
