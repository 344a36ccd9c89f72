"""Write the files of miniature weights. Equal names and versions give equal bytes."""

import math
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from safelight.core.errors import Invalid
from safelight.models.families.registry import FOLDERS
from safelight.models.miniatures.file import Miniature, MiniatureFile
from safelight.models.quant.ggml_blocks import TYPES
from safelight.models.quant.ggml_file import write_gguf
from safelight.models.quant.quantizing import WRITERS, NotQuantizable, quantized

Tensors = dict[str, torch.Tensor]

OTHERS = ("depth", "frames", "language", "upscale", "vision")
"""The folders beside the families that have miniatures."""


class UnknownMiniature(Invalid):
    """There are no miniature weights of this name."""

    code = "unknown_miniature"


def miniature_names() -> list[str]:
    return sorted(_miniatures())


def miniature_files() -> list[MiniatureFile]:
    """The files of every name, each once: of two of one name, that of the first miniature."""
    every = (file for name in miniature_names() for file in _miniatures()[name].files)
    made: dict[tuple[str, str], MiniatureFile] = {}
    for file in every:
        made.setdefault((file.folder, file.name), file)
    return list(made.values())


def write_miniature(name: str, directory: Path) -> Iterator[Path]:
    """Write the files of a model below ``directory``, which has the layout of a root of models; yields each path. Files
    that exist are overwritten. Raises :class:`UnknownMiniature`."""
    if name not in _miniatures():
        raise UnknownMiniature(f"no miniature {name!r}; there are {', '.join(miniature_names())}")
    for file in _miniatures()[name].files:
        path = directory / file.folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, file)
        yield path
        if file.tokenizer is not None:
            beside = path.with_name(f"{path.stem}.tokenizer.json")
            beside.write_text(file.tokenizer(), "utf-8")
            yield beside


def write_file(path: Path, file: MiniatureFile) -> None:
    """Write one file; a name that ends in ``.gguf`` makes a GGUF file."""
    with torch.device("meta"):
        module = file.build()
    layers = {f"{name}.weight" for name, part in module.named_modules() if isinstance(part, nn.Linear)}
    weights = random_weights(module)
    if path.suffix == ".gguf":
        formats = {f"{file.prefix}{name}": file.format for name in layers if weights[name].shape[1] % 256 == 0}
        write_gguf(path, {f"{file.prefix}{name}": value for name, value in weights.items()}, formats=formats)
        return
    tensors: Tensors = {name: make() for name, make in file.more.items()}
    for name, value in weights.items():
        tensors |= _stored(f"{file.prefix}{name}", value, file.format if name in layers else "bf16", file.format)
    if file.format == "fp8_scaled_old":
        tensors[f"{file.prefix}scaled_fp8"] = torch.zeros(0).to(torch.float8_e4m3fn)
    save_file(tensors, path)


def random_weights(module: nn.Module, *, seed: int = 0) -> Tensors:
    """Random weights of a network without data, float32: normal, and scaled so that activations keep their size. Norms
    change nothing, and biases are zero."""
    generator = torch.Generator().manual_seed(seed)
    made = {}
    for name, value in module.state_dict().items():
        owner = module.get_submodule(name.rpartition(".")[0])
        if value.dim() > 1:
            fan_in = math.prod(value.shape[1:])
            made[name] = torch.randn(value.shape, generator=generator) / math.sqrt(fan_in)
        elif name.endswith(("bias", "_token")):
            made[name] = torch.zeros(value.shape)
        else:
            made[name] = torch.full(value.shape, 0.0 if getattr(owner, "adds_one", False) else 1.0)
    return made


def _stored(name: str, value: torch.Tensor, format: str, whole: str) -> Tensors:
    if format in WRITERS and value.dim() == 2:
        try:
            return quantized(name.removesuffix(".weight"), value, format)
        except NotQuantizable:
            pass
    return {name: value if whole == "fp32" else value.to(torch.bfloat16)}


@cache
def _miniatures() -> dict[str, Miniature]:
    found: dict[str, Miniature] = {}
    for folder in (*(f"families.{name}" for name in FOLDERS), *OTHERS):
        module = f"safelight.models.{folder}.miniature_files"
        if find_spec(module) is not None:
            found |= {miniature.name: miniature for miniature in import_module(module).MINIATURES}
    return found


FORMATS = ("bf16", "fp32", *WRITERS, *TYPES)
