"""The inputs of both sides: a small network that is a formula, and the list of cases.

Both interpreters import this file, ours and ComfyUI's, so it depends on neither of them and needs only torch.
"""

import itertools
import random
from typing import Any

import torch

SHAPE = (2, 4, 20, 26)
PAIR_STEPS = 6
Case = dict[str, Any]

STOCHASTIC_NODES = {
    "SamplerEulerAncestral": ["eta", "s_noise"],
    "SamplerEulerAncestralCFGPP": ["eta", "s_noise"],
    "SamplerDPMPP_2S_Ancestral": ["eta", "s_noise"],
    "SamplerDPMPP_SDE": ["eta", "s_noise", "r"],
    "SamplerDPMPP_3M_SDE": ["eta", "s_noise"],
}


def network(x: torch.Tensor, timestep: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
    """``x [B, 4, h, w]``, ``timestep [B]``, ``context [B, tokens, features]``. Every cell depends on its neighbours, so
    that areas and masks have an effect."""
    condition = context.mean(dim=(1, 2)).reshape(-1, 1, 1, 1)
    wave = torch.cos(timestep.reshape(-1, 1, 1, 1).float() / 300)
    around = torch.tanh(x.roll(1, -1) + x.roll(1, -2) + condition)
    return 0.75 * x + 0.3 * around * wave + 0.2 * condition + 0.05 * x.flip(1)


def context(value: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(int(value * 1000) & 0xFFFF)
    return value + 0.1 * torch.randn(1, 7, 16, generator=generator)


def drawn(seed: int, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def box_mask(shape: tuple[int, int], box: tuple[int, int, int, int], value: float = 1.0) -> torch.Tensor:
    """``[1, h, w]`` with ``value`` in ``(height, width, y, x)``."""
    mask = torch.zeros(1, *shape)
    height, width, y, x = box
    mask[:, y : y + height, x : x + width] = value
    return mask


def conditioning(side: list[dict[str, Any]]) -> list[list[Any]]:
    """Entries in the form of links; a mask is described by its size, box and value."""
    made = []
    for entry in side:
        options = {key: value for key, value in entry.items() if key != "says"}
        if "mask" in options:
            options["mask"] = box_mask(*options["mask"])
        if "area" in options:
            options["area"] = tuple(options["area"])
        made.append([context(entry["says"]), options])
    return made


def cases(samplers: list[str], schedulers: list[str]) -> dict[str, Case]:
    """Return cases by name; ``kind`` is the parameterization."""
    made: dict[str, Case] = {}
    for kind, sampler, scheduler in itertools.product(("eps", "flow"), samplers, schedulers):
        made[f"pair {kind} {sampler} {scheduler}"] = _case(kind, sampler, scheduler, steps=PAIR_STEPS)
    for kind, sampler in itertools.product(("eps", "v", "flow"), samplers):
        made[f"masked {kind} {sampler}"] = _case(kind, sampler, "normal", denoise=0.7, latent=5, mask=True)
        made[f"part {kind} {sampler}"] = _case(kind, sampler, "simple", steps=8, start=2, end=6, latent=5)
        made[f"masked part {kind} {sampler}"] = _case(
            kind, sampler, "simple", steps=8, start=1, end=6, latent=5, mask=True
        )
        made[f"cfg 1 {kind} {sampler}"] = _case(kind, sampler, "karras", steps=7, cfg=1.0)
    for sampler, steps in itertools.product(samplers, (1, 2, 3, 12)):
        made[f"steps {sampler} {steps}"] = _case("eps", sampler, "karras", steps=steps)
        made[f"flow steps {sampler} {steps}"] = _case("flow", sampler, "simple", steps=steps)
    for sampler in ("euler_ancestral", "dpmpp_sde", "ddim", "lcm"):
        made[f"highest seed {sampler}"] = _case("eps", sampler, "normal", seed=2**64 - 1, mask=True, latent=5)
    made |= _nodes()
    made |= _conditionings()
    return made


def _case(kind: str, sampler: str, scheduler: str, **more: Any) -> Case:
    return {"kind": kind, "sampler": sampler, "scheduler": scheduler, "steps": 6, "cfg": 3.0, "seed": 42} | more


def _nodes() -> dict[str, Case]:
    rng = random.Random(7)
    made = {}

    def add(node: str, kind: str, **inputs: Any) -> None:
        case = _case(kind, "euler", "karras" if kind == "eps" else "simple", steps=7)
        made[f"node {node} {kind} {len(made)}"] = case | {"node": node, "inputs": inputs}

    for kind in ("eps", "flow"):
        for node, names in STOCHASTIC_NODES.items():
            for eta in (0.0, 0.4, 1.0):
                more = {"noise_device": "cpu"} if "SDE" in node else {}
                values = {"eta": eta, "s_noise": rng.choice([0.0, 0.8, 1.0]), "r": rng.choice([0.3, 0.5, 0.8])}
                add(node, kind, **{name: values[name] for name in names}, **more)
        for solver, eta in itertools.product(("midpoint", "heun"), (0.0, 0.5, 1.0)):
            add("SamplerDPMPP_2M_SDE", kind, solver_type=solver, eta=eta, s_noise=0.9, noise_device="gpu")
        for solver, stage, eta in itertools.product(("ER-SDE", "Reverse-time SDE", "ODE"), (1, 2, 3), (0.0, 1.0)):
            add("SamplerER_SDE", kind, solver_type=solver, max_stage=stage, eta=eta, s_noise=0.9)
        for solver, eta, r in itertools.product(("phi_1", "phi_2"), (0.0, 0.5, 1.0), (0.3, 0.5, 1.0)):
            add("SamplerSEEDS2", kind, solver_type=solver, eta=eta, s_noise=0.9, r=r)
        for order in (1, 2, 3, 4, 5):
            add("SamplerLMS", kind, order=order)
        for version in ("regular", "alternative"):
            add("SamplerEulerCFGpp", kind, version=version)
        for predictor, corrector in itertools.product((1, 2, 3, 4), (0, 1, 2, 4)):
            add(
                "SamplerSASolver",
                kind,
                eta=rng.choice([0.0, 0.5, 1.0]),
                sde_start_percent=0.1,
                sde_end_percent=0.9,
                s_noise=0.8,
                predictor_order=predictor,
                corrector_order=corrector,
                use_pece=rng.random() < 0.5,
                simple_order_2=rng.random() < 0.5,
            )
    for order, eta, (p, i, d) in itertools.product(
        (2, 3), (0.0, 0.3, 1.0), ((0.0, 1.0, 0.0), (0.3, 0.9, 0.1), (0.0, 1.0, 0.4))
    ):
        numbers = {"rtol": 0.05, "atol": 0.0078, "h_init": 0.2, "pcoeff": p, "icoeff": i, "dcoeff": d}
        add("SamplerDPMAdaptative", "eps", order=order, **numbers, accept_safety=0.81, eta=eta, s_noise=0.9)
    return made


def _conditionings() -> dict[str, Case]:
    rng = random.Random(11)
    height, width = SHAPE[-2:]
    made = {}

    def entry() -> dict[str, Any]:
        options: dict[str, Any] = {"says": round(rng.uniform(-1, 1), 3)}
        if rng.random() < 0.5:
            options["strength"] = round(rng.uniform(0.2, 1.5), 2)
        chosen = rng.choice(["plain", "area", "percentage", "mask", "bounds", "range", "both"])
        if chosen in ("area", "both"):
            h, w = rng.randint(1, height), rng.randint(1, width)
            options["area"] = [h, w, rng.randint(0, height - h), rng.randint(0, width - w)]
        if chosen == "percentage":
            h, w = rng.uniform(0.1, 0.8), rng.uniform(0.1, 0.8)
            options["area"] = ["percentage", h, w, rng.uniform(0, 1 - h), rng.uniform(0, 1 - w)]
        if chosen in ("mask", "bounds"):
            h, w = rng.randint(1, 12), rng.randint(1, 12)
            box = (h, w, rng.randint(0, height - h), rng.randint(0, width - w))
            options["mask"] = ((height, width), box, rng.choice([1.0, 0.5]))
            options["set_area_to_bounds"] = chosen == "bounds"
            options["mask_strength"] = round(rng.uniform(0.3, 1.2), 2)
        if chosen == "range":
            options["start_percent"] = round(rng.uniform(0, 0.5), 2)
            options["end_percent"] = round(rng.uniform(0.5, 1), 2)
        if rng.random() < 0.1:
            options["default"] = True
        return options

    for number in range(150):
        positive = [{"says": 0.4}] if rng.random() < 0.6 else []
        positive += [entry() for _ in range(rng.randint(0 if positive else 1, 3))]
        negative = [{"says": -0.3}] + [entry() for _ in range(rng.randint(0, 2))]
        case = _case(rng.choice(["eps", "flow"]), "euler", "normal", steps=4)
        made[f"conditioning {number}"] = case | {"positive": positive, "negative": negative}
    empty = {"says": 0.8, "mask": ((height, width), (0, 0, 0, 0), 1.0), "set_area_to_bounds": True}
    made["conditioning empty mask"] = _case("eps", "euler", "normal") | {"positive": [{"says": 0.1}, empty]}
    smaller = {"says": 0.8, "mask": ((37, 51), (9, 8, 20, 30), 1.0), "set_area_to_bounds": True, "mask_strength": 1.0}
    made["conditioning mask of another size"] = _case("eps", "euler", "normal") | {"positive": [{"says": 0.1}, smaller]}
    return made


def fingerprint(latent: torch.Tensor) -> list[float]:
    """Return the mean, the standard deviation, and the projections on two fixed random directions."""
    wide = latent.double()
    lines = [torch.randn(latent.shape, generator=torch.Generator().manual_seed(seed)).double() for seed in (1, 2)]
    numbers = [wide.mean(), wide.std(), *((wide * line).mean() for line in lines)]
    return [float(f"{float(number):.5g}") for number in numbers]
