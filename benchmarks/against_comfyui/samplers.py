"""All samplers on all schedules, their nodes' options, and conditionings, compared with a real ComfyUI.

``python -m benchmarks.against_comfyui.samplers --comfyui FOLDER --python INTERPRETER`` runs every case of
``sampling_cases.py`` in ComfyUI (``INTERPRETER`` has ComfyUI's requirements installed) and in Safelight. Prints each
case that differs by more than rounding, and exits with an error if there is one. ``--write`` writes ComfyUI's numbers
to ``tests/golden/sampling/comfyui.json``, with which the tests compare. ``--latents FILE`` reuses ComfyUI's results of
an earlier run with ``--keep FILE``.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from benchmarks.against_comfyui import sampling_cases as cases
from safetensors.torch import load_file

import safelight.nodes
from safelight.models.diffusion_model import DiffusionModel
from safelight.models.latent_format import LatentFormat
from safelight.models.sampling.guidance import CfgGuider
from safelight.models.sampling.levels import DiscreteLevels, FlowLevels
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.sampling.prediction import Flow, Noise, Velocity
from safelight.models.sampling.sample import sample
from safelight.models.sampling.samplers.table import SAMPLERS
from safelight.models.sampling.schedules import SCHEDULES, schedule, step_range
from safelight.models.unet.unet_module import UNetInputs
from safelight.models.weight_layers import WeightLayer, WeightPart
from safelight.nodes.sampling.noise import SeededNoise
from safelight.nodes.sampling.sample import sampler_named
from safelight.sdk.registry import discover

GOLDEN = Path(__file__).parents[2] / "tests" / "golden" / "sampling" / "comfyui.json"
TOLERANCE = 1e-4
"""Relative L2 distance of a latent. Both sides compute in float32, in a different order."""

DEVIATIONS = {
    f"{prefix}steps {sampler} 1": "ComfyUI returns the noise that it started from (MODEL-10)"
    for prefix in ("", "flow ")
    for sampler in ("uni_pc", "uni_pc_bh2")
}
"""Cases in which ComfyUI's result is a fault; ``docs/reference/behaviour.md`` has the rules."""

PARAMETERIZATIONS = {
    "eps": Parameterization(Noise(), DiscreteLevels()),
    "v": Parameterization(Velocity(), DiscreteLevels()),
    "flow": Parameterization(Flow(), FlowLevels(3.0)),
}
SCALE = 0.18215
CPU = torch.device("cpu")


@dataclass(frozen=True)
class FormulaNetwork:
    layers: tuple[WeightLayer, ...] = ()
    shapes: Mapping[str, torch.Size] = field(default_factory=dict)
    device: torch.device = CPU

    def with_layers(self, *layers: WeightLayer) -> "FormulaNetwork":
        return self

    @contextmanager
    def session(self) -> Iterator[Any]:
        yield lambda x, timestep, inputs, **more: cases.network(x, timestep, inputs.context)

    @property
    def lora_names(self) -> Mapping[str, WeightPart]:
        return {}

    def prepare_inputs(self, context: torch.Tensor, options: Mapping[str, Any], **more: Any) -> UNetInputs:
        return UNetInputs(context)


def run(case: cases.Case) -> torch.Tensor:
    model = DiffusionModel(FormulaNetwork(), PARAMETERIZATIONS[case["kind"]], LatentFormat(scale=SCALE))
    levels = model.parameterization.levels
    sampler = sampler_named(case["sampler"])
    sigmas = schedule(
        levels,
        case["scheduler"],
        case["steps"],
        denoise=case.get("denoise", 1.0),
        skip_last_level=case["sampler"] in ("dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2"),
        keep_surplus="node" not in case,
    )
    if "start" in case:
        sigmas = step_range(sigmas, start_step=case["start"], end_step=case["end"])
    if "node" in case:
        more = {"model": model} if case["node"] == "SamplerSASolver" else {}
        (sampler,) = discover(safelight.nodes)[case["node"]].execute(**case["inputs"], **more).values
    latent = cases.drawn(case["latent"]) if "latent" in case else torch.zeros(cases.SHAPE)
    positive = cases.conditioning(case.get("positive", [{"says": 0.7}]))
    negative = cases.conditioning(case.get("negative", [{"says": -0.4}]))
    made = sample(
        CfgGuider(model, positive, negative, case["cfg"]),
        sampler,
        sigmas,
        latent=latent,
        noise=SeededNoise(case["seed"]).generate_noise({"samples": latent}),  # type: ignore[arg-type]
        seed=case["seed"],
        noise_mask=cases.box_mask((cases.SHAPE[-2], cases.SHAPE[-1]), (9, 11, 4, 6)) if case.get("mask") else None,
        on_step=lambda *of_step: None,
    )
    return made.samples


def all_cases() -> dict[str, cases.Case]:
    return cases.cases(list(SAMPLERS), list(SCHEDULES))


def of_comfyui(comfyui: Path, python: str, out: Path) -> None:
    script = Path(__file__).with_name("comfyui_samplers.py")
    subprocess.run([python, str(script), str(comfyui), str(out)], check=True, stderr=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comfyui", type=Path)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--latents", type=Path)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = given.latents or given.keep or Path(folder) / "comfyui.safetensors"
        if given.latents is None:
            of_comfyui(given.comfyui, given.python, out)
        theirs = load_file(out)
        for name, error in json.loads(Path(f"{out}.errors").read_text("utf-8")).items():
            print(f"{name}: ComfyUI fails: {error}")
    apart = {}
    with torch.inference_mode():
        for name, latent in theirs.items():
            try:
                ours = run(ALL[name])
            except Exception as error:
                print(f"{name}: {type(error).__name__}: {error}")
                apart[name] = float("nan")
                continue
            distance = float((ours - latent).norm() / latent.norm())
            both_nan = bool(latent.isnan().any() and ours.isnan().any())
            if name in DEVIATIONS:
                print(f"{name:<60} {distance:.1e} intended: {DEVIATIONS[name]}")
            elif not distance <= TOLERANCE and not both_nan:
                apart[name] = distance
                print(f"{name:<60} {distance:.1e}")
    print(f"{len(theirs)} runs, {len(apart)} of them differ")
    if given.write:
        kept = {name: latent for name, latent in theirs.items() if name not in DEVIATIONS}
        lines = (f"  {json.dumps(name)}: {json.dumps(cases.fingerprint(latent))}" for name, latent in kept.items())
        GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
    sys.exit(1 if apart else 0)


ALL = all_cases()

if __name__ == "__main__":
    main()
