"""All nodes with random valid inputs, compared with a real ComfyUI.

``python -m benchmarks.against_comfyui.nodes --comfyui FOLDER --python INTERPRETER [--each N] [--seed N] [--only NODE]``
draws inputs from the nodes' own schemas (types, ranges, options), runs each node in ComfyUI and in Safelight, and
prints differences: values, shapes, or an error on only one side. Models and guiders are compared by a result of
sampling. Nodes whose inputs no formula can replace (text encoders, autoencoders, files) are listed but not run.
"""

import argparse
import asyncio
import inspect
import json
import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from benchmarks.against_comfyui import node_values, sampling_cases
from benchmarks.against_comfyui.samplers import PARAMETERIZATIONS, SCALE, FormulaNetwork
from safetensors.torch import load_file
from tests.nodes.context import FolderContext

import safelight.nodes
from safelight.core.node import InputSchema, NodeSchema, Section
from safelight.models.diffusion_model import DiffusionModel
from safelight.models.latent_format import LatentFormat
from safelight.models.sampling.guidance import CfgGuider
from safelight.models.sampling.sample import sample
from safelight.models.sampling.schedules import schedule
from safelight.nodes.sampling.noise import SeededNoise
from safelight.nodes.sampling.sample import sampler_named
from safelight.sdk import NodeOutput
from safelight.sdk.registry import discover

NODES = discover(safelight.nodes)
TOLERANCE = 2e-5
GOLDEN = Path(__file__).parents[2] / "tests" / "golden" / "nodes" / "drawn.json"
WORDS = ["", "a red cat", "Two  spaces ", "x=1, y=2", "ünïcode", '{"a": [1, "b"]}', "line\nline", "0.5, 1.0", "a.b*c"]
MODELS = {kind: DiffusionModel(FormulaNetwork(), p, LatentFormat(scale=SCALE)) for kind, p in PARAMETERIZATIONS.items()}


DEVIATIONS = {
    "LatentInterpolate": "NODE-2: ComfyUI mixes up batch and channels",
    "MergeTextLists": "NODE-5: one list",
    "Canny": "NODE-13: ComfyUI fails for pictures with alpha",
    "CreateHookKeyframe": "each side has its own class for keyframes",
    "CreateHookKeyframesInterpolated": "each side has its own class for keyframes",
    "CombineHooks2": "without hooks, Safelight returns an empty group and ComfyUI returns None",
    "ImageBlend": "NODE-13: ComfyUI fails for one picture with alpha",
    "MaskComposite": "NODE-13: ComfyUI fails for a mask that is outside",
    "ResizeImageMaskNode": "NODE-14: ComfyUI squashes portrait pictures",
    "CenterCropImages": "NODE-13: ComfyUI fails for batches",
    "ImageDeduplication": "NODE-13: ComfyUI fails for batches",
    "ImageGrid": "NODE-13: ComfyUI fails for batches",
    "RandomCropImages": "NODE-13: ComfyUI fails for batches",
    "ResizeImagesByShorterEdge": "NODE-13: ComfyUI fails for batches",
    "GITSScheduler": "NODE-13: ComfyUI fails for coefficients between those of its table",
    "GetImageSize": "ComfyUI's needs a running server",
    "ImageCompositeMasked": "NODE-13: ComfyUI fails for batches that do not divide",
    "PorterDuffImageComposite": "NODE-13: ComfyUI fails for batches of different sizes",
    "ImageQuantize": "NODE-13: ComfyUI fails for pictures with alpha",
    "ImageRGBToYUV": "NODE-13: ComfyUI fails for pictures with alpha",
    "LTXVPreprocess": "NODE-13: ComfyUI fails for pictures with alpha",
    "LatentCrop": "NODE-13: ComfyUI counts from the end in latents below 8 cells",
    "ReplaceVideoLatentFrames": "NODE-13: ComfyUI fails if frames would reach beyond the end",
    "NormalizeVideoLatentStart": "NODE-13: ComfyUI returns NaN if no frame is left to follow",
    "ModelSamplingContinuousEDM": "Safelight does not compute all of its samplings",
    "TCFG": "rounding of a singular value decomposition",
    "AudioMerge": "each side resamples with its own library",
    "AudioConcat": "each side resamples with its own library",
}
"""Nodes that differ in some cases, and why; ``docs/reference/behaviour.md`` has the rules."""

NOT_BY_FORMULA = {
    name: "needs a network with weights"
    for name in NODES
    if name.startswith("ModelMerge") or "AttentionGuidance" in name
} | {"LTXVSeparateAVLatent": "needs a latent of two parts"}


class NotDrawable(Exception):
    """No random value of this type can be generated."""


class Drawn:
    """Random inputs of one case. Sizes are drawn once per case, so that most inputs fit each other."""

    def __init__(self, rng: random.Random, node: str) -> None:
        self.rng, self.node = rng, node
        self.batch = rng.choice([1, 1, 2, 3])
        self.height, self.width = rng.randint(9, 48), rng.randint(9, 48)

    def inputs(self, schema: NodeSchema) -> dict[str, Any]:
        made = {}
        for given in schema.inputs:
            if given.section is Section.HIDDEN or (given.section is Section.OPTIONAL and self.rng.random() < 0.4):
                continue
            made[given.id] = self.value(given)
        if schema.input_is_list:
            made = {name: self._as_list(name, value) for name, value in made.items()}
        return made

    def _as_list(self, name: str, value: Any) -> Any:
        return {"list": [value]}

    def value(self, given: InputSchema) -> Any:
        config = given.config
        kind = given.type.split(",")[0] if "," in given.type else given.type
        match kind:
            case "INT":
                return self._int(given.id, config)
            case "FLOAT":
                low, high = config.get("min", 0.0), config.get("max", 10.0)
                if self.rng.random() < 0.3:
                    return float(config.get("default", low))
                return round(self.rng.uniform(max(low, -4.0), min(high, max(low, 0) + 4.0)), 2)
            case "BOOLEAN":
                return self.rng.random() < 0.5
            case "STRING":
                return config.get("default", "") if self.rng.random() < 0.3 else self.rng.choice(WORDS)
            case "COMBO":
                if not config.get("options") or config.get("image_upload") or config.get("remote"):
                    raise NotDrawable("a file")
                return self.rng.choice(list(config["options"]))
            case "COLOR":
                return f"#{self.rng.randrange(0x1000000):06x}"
            case "IMAGE":
                channels = 4 if self.rng.random() < 0.1 else 3
                return self._tensor("rand", self.batch, self.height, self.width, channels)
            case "MASK":
                return self._tensor("rand", self.rng.choice([1, self.batch]), self.height, self.width)
            case "LATENT":
                return self._latent()
            case "SIGMAS":
                steps = self.rng.randint(1, 7)
                return self._tensor("sigmas", steps)
            case "CONDITIONING":
                return self._conditioning()
            case "AUDIO":
                wave = self._tensor("randn", self.batch, self.rng.choice([1, 2]), self.rng.randint(200, 900))
                return {"dict": {"waveform": wave, "sample_rate": self.rng.choice([8000, 16000])}}
            case "MODEL":
                return {"model": self.rng.choice(["eps", "eps", "v"])}
            case "COMFY_DYNAMICCOMBO_V3":
                option = self.rng.choice(list(config["options"]))
                return {"dict": {given.id: option["key"], **self._nested(option.get("inputs", {}))}}
            case "COMFY_AUTOGROW_V3":
                template = config["template"]
                [(name, spec)] = [pair for section in template["input"].values() for pair in section.items()]
                count = max(self.rng.randint(1, 3), template.get("min", 1))
                names = template.get("names") or [f"{template.get('prefix', name)}{n}" for n in range(count)]
                return {"dict": {each: self._nested({"required": {each: spec}})[each] for each in names[:count]}}
            case "COMFY_MATCHTYPE_V3":
                allowed = config["template"]["allowed_types"].split(",")
                wanted = "IMAGE" if allowed == ["*"] else allowed[0]
                return self.value(InputSchema(given.id, wanted, Section.REQUIRED, {}))
            case "*":
                return self.rng.choice([7, 0.25, "text", True])
        raise NotDrawable(given.type)

    def _nested(self, sections: Any) -> dict[str, Any]:
        return {
            name: self.value(InputSchema(name, spec[0], Section.REQUIRED, spec[1] if len(spec) > 1 else {}))
            for section in sections.values()
            for name, spec in section.items()
        }

    def _int(self, name: str, config: Any) -> int:
        low, high = config.get("min", 0), config.get("max", 64)
        step = config.get("step") or 1
        if "seed" in name:
            return self.rng.choice([0, 1, 12345, 2**32 + 5])
        if self.rng.random() < 0.15 and config.get("default") is not None and config["default"] <= 512:
            return int(config["default"])
        start = max(low, -32)
        top = min(high, max(start, 0) + self.rng.choice([4, 16, 64]))
        return int(start + (self.rng.randint(0, max(0, top - start)) // step) * step)

    def _latent(self) -> Any:
        shape = (self.batch, 4, max(2, self.height // 2), max(2, self.width // 2))
        if any(word in self.node for word in ("Video", "LTXV", "Wan", "Hunyuan")):
            shape = (self.batch, 4, 5, *shape[2:])
        latent: dict[str, Any] = {"samples": self._tensor("randn", *shape)}
        if self.rng.random() < 0.3:
            planes = (self.rng.choice([1, self.batch]), shape[-2] * 8, shape[-1] * 8)
            latent["noise_mask"] = self._tensor("rand", *planes)
        if self.rng.random() < 0.2:
            latent["batch_index"] = {"list": [self.rng.randint(0, 5) for _ in range(self.batch)]}
        return {"dict": latent}

    def _conditioning(self) -> Any:
        entries = []
        for _ in range(self.rng.choice([1, 1, 2])):
            options: dict[str, Any] = {"pooled_output": self._tensor("randn", 1, 16)}
            if self.rng.random() < 0.3:
                options["strength"] = 0.5
            entries.append({"list": [self._tensor("randn", 1, self.rng.choice([7, 7, 9]), 16), {"dict": options}]})
        return {"list": entries}

    def _tensor(self, make: str, *shape: int) -> Any:
        return {make: [self.rng.randrange(1 << 30), list(shape)]}


def drawn(seed: int, each: int, only: str | None) -> tuple[list[Any], dict[str, str]]:
    """Return the cases, and for each node without cases the reason."""
    cases: list[Any] = []
    unfit: dict[str, str] = {}
    for name in sorted(NODES):
        if only and name != only:
            continue
        schema = NODES[name].node_schema()
        if schema.is_output or name in NOT_BY_FORMULA:
            unfit[name] = NOT_BY_FORMULA.get(name, "writes files")
            continue
        for number in range(each):
            try:
                inputs = Drawn(random.Random(f"{seed} {name} {number}"), name).inputs(schema)
            except NotDrawable as reason:
                unfit[name] = str(reason)
                break
            cases.append({"node": name, "inputs": inputs})
    return cases, unfit


def stand_in(value: Any) -> Any:
    """Same as ``comfyui_nodes.stand_in``."""
    latent = torch.zeros(sampling_cases.SHAPE)
    if isinstance(value, DiffusionModel):
        positive, negative = (sampling_cases.conditioning([{"says": says}]) for says in (0.7, -0.4))
        return stand_in(CfgGuider(value, positive, negative, 3.0))
    if hasattr(value, "denoiser"):
        levels = value.model.parameterization.levels
        noise: Any = SeededNoise(42).generate_noise({"samples": latent})  # type: ignore[arg-type]
        made = sample(
            value,
            sampler_named("euler"),
            schedule(levels, "normal", 3),
            latent=latent,
            noise=noise,
            seed=42,
            on_step=lambda *of_step: None,
        )
        return made.samples
    if hasattr(value, "generate_noise"):
        return value.generate_noise({"samples": latent})
    if callable(value):
        return value(latent=sampling_cases.drawn(3))
    return value


def called(name: str, inputs: dict[str, Any]) -> list[Any]:
    result = NODES[name].execute(**inputs)
    if inspect.iscoroutine(result):
        result = asyncio.run(result)
    return list(result.values if isinstance(result, NodeOutput) else result)


def ours(case: Any, made: dict[str, torch.Tensor]) -> Any:
    torch.manual_seed(0)
    try:
        with torch.inference_mode(), FolderContext(Path(tempfile.gettempdir()) / "against_comfyui").running():
            inputs = {name: node_values.read(value, MODELS) for name, value in case["inputs"].items()}
            return {"values": node_values.written(called(case["node"], inputs), made, stand_in)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:200]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comfyui", type=Path, required=True)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--each", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only")
    parser.add_argument("--show", action="store_true", help="print the inputs of cases that differ")
    parser.add_argument("--write", action="store_true", help="record ComfyUI's results for two cases of each node")
    given = parser.parse_args()
    cases, unfit = drawn(given.seed, given.each, given.only)
    with tempfile.TemporaryDirectory() as folder:
        cases_file, results_file = Path(folder) / "cases.json", Path(folder) / "answers.json"
        cases_file.write_text(json.dumps(cases), "utf-8")
        script = Path(__file__).with_name("comfyui_nodes.py")
        command = [given.python, str(script), str(given.comfyui), str(cases_file), str(results_file)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        theirs = json.loads(results_file.read_text("utf-8"))
        theirs_tensors = load_file(results_file.with_suffix(".safetensors"))
    counts: Counter[str] = Counter()
    unlike: dict[str, list[str]] = {}
    kept: dict[str, list[Any]] = {}
    for case, other in zip(cases, theirs, strict=True):
        name = case["node"]
        if "absent" in other:
            unfit[name] = "this ComfyUI does not have it"
            continue
        made: dict[str, torch.Tensor] = {}
        found = _compared(ours(case, made), made, other, theirs_tensors)
        is_alike = not isinstance(found, str) and found <= TOLERANCE
        counts["alike" if is_alike else "intended" if name in DEVIATIONS else "unlike"] += 1
        if not is_alike:
            shown = found if isinstance(found, str) else f"{found:.1e}"
            more = f"   {json.dumps(case['inputs'])[:600]}" if given.show else ""
            unlike.setdefault(name, []).append(shown + more)
        elif "values" in other and len(kept.setdefault(name, [])) < 2:
            kept[name].append(case | {"gives": node_values.summary(other["values"], theirs_tensors)})
    for name, found_here in sorted(unlike.items()):
        why = f"intended: {DEVIATIONS[name]}; " if name in DEVIATIONS else ""
        print(f"{name}: {len(found_here)} of {given.each}; {why}{'; '.join(sorted(set(found_here))[:3])}")
    print(f"{len({case['node'] for case in cases})} nodes, {dict(counts)}")
    print("not run:", ", ".join(f"{name} ({reason})" for name, reason in sorted(unfit.items())))
    if given.write:
        lines = [json.dumps(case, separators=(",", ":")) for each in kept.values() for case in each]
        GOLDEN.write_text("[\n" + ",\n".join(lines) + "\n]\n", "utf-8")
    sys.exit(1 if unlike.keys() - DEVIATIONS.keys() else 0)


def _compared(one: Any, made: dict[str, torch.Tensor], other: Any, others: dict[str, torch.Tensor]) -> float | str:
    if "error" in one and "error" in other:
        return 0.0
    if "error" in one or "error" in other:
        return f"ours fails: {one['error']}" if "error" in one else f"ComfyUI fails: {other['error']}"
    return node_values.distance(one["values"], made, other["values"], others)


if __name__ == "__main__":
    main()
