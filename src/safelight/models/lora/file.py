"""A LoRA file: its changes by the modules that it names, and the weight layers that they make for a network."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from safetensors import safe_open

from safelight.core.errors import Invalid
from safelight.media.media_errors import UnreadableWeights
from safelight.media.weights_format import WeightsFormat, check_weights
from safelight.models.lora.changes import (
    AdditivePatch,
    Change,
    DoraPatch,
    FullDifference,
    FullFactor,
    Hadamard,
    Kronecker,
    LowRank,
    Product,
    fits,
)
from safelight.models.lora.names import LoraTarget, lora_target, text_modules
from safelight.models.lora.parts import parsed
from safelight.models.weight_layers import RowPatches, WeightLayer, WeightPart, WeightPatch

Parts = Mapping[str, torch.Tensor]

_MAX_NAMES_IN_ERRORS = 3


class LoraMismatch(Invalid):
    """The file is a LoRA for another model family, or of no supported dialect."""

    code = "lora_mismatch"


class Changeable(Protocol):
    """The part of :class:`safelight.models.network.Network` that a file is compared with."""

    @property
    def shapes(self) -> Mapping[str, torch.Size]: ...

    @property
    def lora_names(self) -> Mapping[str, WeightPart]: ...


@dataclass(frozen=True, eq=False)
class Lora:
    """The changes in a file, by the file's own module names."""

    name: str
    modules: Mapping[str, Parts] = field(repr=False)
    others: tuple[str, ...] = field(default=(), repr=False)
    """Keys of no known dialect."""

    def network_layer(self, network: Changeable) -> WeightLayer | None:
        """The layer for a diffusion network; ``None`` if the file has nothing for one. Raises :class:`LoraMismatch` if
        most of it does not fit."""
        names = network.lora_names
        return self._layer(False, network.shapes, lambda target: names.get(target.module))

    def text_layer(self, shapes: Mapping[str, torch.Size]) -> WeightLayer | None:
        """The layer for text encoders; as :meth:`network_layer`."""
        encoders = text_modules(shapes)

        def part(target: LoraTarget) -> WeightPart | None:
            module = encoders.get(target.encoder, {}).get(target.module)
            return None if module is None else WeightPart(module)

        return self._layer(True, shapes, part)

    def _layer(
        self, is_text: bool, shapes: Mapping[str, torch.Size], canonical: Callable[[LoraTarget], WeightPart | None]
    ) -> WeightLayer | None:
        targets = {module: target for module in self.modules if (target := lora_target(module)).is_text == is_text}
        patches: dict[str, WeightPatch] = {}
        by_rows: dict[str, list[tuple[tuple[int, int], WeightPatch]]] = {}
        unmatched: list[str] = []
        for module, target in targets.items():
            part = canonical(target)
            found = {} if part is None else self._patches(self.modules[module], part, shapes)
            if part is None or part.rows is None:
                patches |= found
            else:
                for name, patch in found.items():
                    by_rows.setdefault(name, []).append((part.rows, patch))
            if not found:
                unmatched.append(module)
        if len(unmatched) * 2 > len(targets):
            raise LoraMismatch(self._mismatch_message("text encoder" if is_text else "model", unmatched, len(targets)))
        patches |= {name: RowPatches(tuple(parts)) for name, parts in by_rows.items()}
        return WeightLayer(self.name, patches) if patches else None

    def _patches(
        self, parts: Parts, target: WeightPart, shapes: Mapping[str, torch.Size]
    ) -> dict[str, AdditivePatch | DoraPatch]:
        made: dict[str, AdditivePatch | DoraPatch] = {}
        for kind, change in _changes(parts):
            is_bare = kind == "weight" and target.module in shapes
            name = target.module if is_bare else f"{target.module}.{kind}"
            magnitude = parts.get("magnitude") if kind == "weight" else None
            patch = AdditivePatch(change) if magnitude is None else DoraPatch(change, magnitude)
            if name in shapes and fits(patch, _shape_of_rows(shapes[name], target.rows)):
                made[name] = patch
        return made

    def _mismatch_message(self, part: str, unmatched: list[str], count: int) -> str:
        named = ", ".join(unmatched[:_MAX_NAMES_IN_ERRORS]) + (", ..." if len(unmatched) > _MAX_NAMES_IN_ERRORS else "")
        return (
            f"{self.name!r} is a LoRA for another model family: {len(unmatched)} of the {count} modules it changes "
            f"are missing from this {part} or have other shapes ({named})"
        )


def _shape_of_rows(shape: torch.Size, rows: tuple[int, int] | None) -> torch.Size:
    return shape if rows is None else torch.Size((rows[1] - rows[0], *shape[1:]))


def read_lora(path: Path) -> Lora:
    """Read a LoRA file. Raises :class:`UnreadableWeights` for a damaged file or a pickle, and
    :class:`LoraMismatch` for one without a key of a known dialect. Tensors are mapped, not copied."""
    if check_weights(path) is not WeightsFormat.SAFETENSORS:
        raise UnreadableWeights(f"{path.name!r} is a GGUF file; use a safetensors file of the LoRA")
    modules: dict[str, dict[str, torch.Tensor]] = {}
    others = []
    with safe_open(path, framework="pt") as file:
        for key in file.keys():  # noqa: SIM118 (not a mapping)
            if found := parsed(key):
                module, part = found
                modules.setdefault(module, {})[part] = file.get_tensor(key)
            else:
                others.append(key)
    if not modules:
        named = ", ".join(others[:_MAX_NAMES_IN_ERRORS])
        raise LoraMismatch(f"{path.name!r} contains no LoRA weights; its first keys are {named or 'none'}")
    return Lora(path.name, modules, tuple(others))


def _changes(parts: Parts) -> Iterator[tuple[str, Change]]:
    """The changes of one module's ``weight`` and ``bias``."""
    alpha = float(parts["alpha"]) if "alpha" in parts else None
    if low := _product(parts, "up", "down", "mid"):
        yield "weight", LowRank(low, alpha)
    elif (a := _product(parts, "hada_w1_a", "hada_w1_b", "hada_t1")) and (
        b := _product(parts, "hada_w2_a", "hada_w2_b", "hada_t2")
    ):
        yield "weight", Hadamard(a, b, alpha)
    elif (one := _factor(parts, "lokr_w1", "")) and (other := _factor(parts, "lokr_w2", "lokr_t2")):
        yield "weight", Kronecker(one, other, alpha)
    elif "diff" in parts:
        yield "weight", FullDifference(parts["diff"])
    if "diff_b" in parts:
        yield "bias", FullDifference(parts["diff_b"])


def _factor(parts: Parts, name: str, core: str) -> FullFactor | Product | None:
    return FullFactor(parts[name]) if name in parts else _product(parts, f"{name}_a", f"{name}_b", core)


def _product(parts: Parts, a: str, b: str, core: str) -> Product | None:
    if not (a in parts and b in parts):
        return None
    if a == "up" and core in parts:  # a convolution's: [out, rank, 1, 1], where the others have [rank, out]
        return Product(parts[a].transpose(0, 1), parts[b], parts[core])
    return Product(parts[a], parts[b], parts.get(core))
