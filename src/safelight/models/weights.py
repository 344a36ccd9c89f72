"""Weights as values: tensors of files under canonical names. Tensors are read only when they are needed.

A :class:`WeightFile` is a safetensors file; :class:`Weights` are some of its tensors under canonical names.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch
from safetensors import safe_open

from safelight.core.errors import Invalid
from safelight.media import safetensors_header
from safelight.media.media_errors import UnreadableWeights
from safelight.media.weights_format import WeightsFormat, check_weights
from safelight.worker.context import worker_context


class UnknownWeights(Invalid):
    """The file contains no supported network, or not the one that was requested."""

    code = "unknown_weights"


Identity = tuple[str, int, int]
"""Path, size and time of the last change."""


def identity_of(path: Path) -> Identity:
    """The identity of a file; it changes when the file does. Raises :class:`OSError`."""
    stat = path.stat()
    return str(path.resolve()), stat.st_size, stat.st_mtime_ns


@dataclass(frozen=True)
class WeightFile:
    identity: Identity
    shapes: Mapping[str, torch.Size] = field(repr=False, compare=False)
    dtypes: Mapping[str, str] = field(repr=False, compare=False)
    """In safetensors' spelling: ``F16``, ``BF16``, ``F32`` ..."""
    metadata: Mapping[str, str] = field(repr=False, compare=False)

    @property
    def path(self) -> Path:
        return Path(self.identity[0])

    def weights(self, prefix: str = "") -> "Weights":
        """The tensors whose names begin with ``prefix``, without it."""
        keys = {key.removeprefix(prefix): key for key in self.shapes if key.startswith(prefix)}
        return Weights({name: Source(self, key) for name, key in keys.items()})


def weight_file(path: Path) -> WeightFile:
    """Open a file; reads only the header. Raises :class:`UnreadableWeights` for a damaged file, a pickle or a GGUF
    file; :class:`OSError`."""
    if check_weights(path) is not WeightsFormat.SAFETENSORS:
        raise UnreadableWeights(f"{path.name!r} is a GGUF file; use a safetensors file of the model")
    with path.open("rb") as file:
        header = safetensors_header.read(file, name=path.name)
    return WeightFile(
        identity=identity_of(path),
        shapes={name: torch.Size(entry.shape) for name, entry in header.tensors.items()},
        dtypes={name: entry.dtype for name, entry in header.tensors.items()},
        metadata=header.metadata,
    )


Reading = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Source:
    """A tensor of a file, and how it is changed when it is read: a range of its rows, its transpose, another shape."""

    file: WeightFile
    key: str
    rows: tuple[int, int] | None = None
    transposed: bool = False
    reshaped: tuple[int, ...] | None = None
    rounded: torch.dtype | None = None
    """Round to this type and back."""

    @property
    def shape(self) -> torch.Size:
        shape = list(self.file.shapes[self.key])
        if self.transposed:
            shape.reverse()
        if self.rows is not None:
            shape[0] = self.rows[1] - self.rows[0]
        return torch.Size(self.reshaped or shape)

    def of(self, tensor: torch.Tensor) -> torch.Tensor:
        if self.transposed:
            tensor = tensor.t()
        if self.rows is not None:
            tensor = tensor[slice(*self.rows)]
        if self.rounded is not None:
            tensor = tensor.to(self.rounded).to(tensor.dtype)
        return tensor if self.reshaped is None else tensor.reshape(self.reshaped)


@dataclass(frozen=True)
class Weights:
    """Equal to weights with the same sources under the same names."""

    sources: Mapping[str, Source] = field(repr=False)

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(self.identity)

    @cached_property
    def identity(self) -> tuple[tuple[str, Source], ...]:
        return tuple(sorted(((name, source) for name, source in self.sources.items()), key=lambda item: item[0]))

    @property
    def shapes(self) -> dict[str, torch.Size]:
        return {name: source.shape for name, source in self.sources.items()}

    def __bool__(self) -> bool:
        return bool(self.sources)

    def __contains__(self, name: object) -> bool:
        return name in self.sources

    def rounded(self, dtype: torch.dtype) -> "Weights":
        return Weights({name: replace(source, rounded=dtype) for name, source in self.sources.items()})

    def prefixed(self, prefix: str) -> "Weights":
        return Weights({f"{prefix}{name}": source for name, source in self.sources.items()})

    def only(self, names: Iterable[str]) -> "Weights":
        return Weights({name: self.sources[name] for name in names if name in self.sources})

    def below(self, prefix: str) -> "Weights":
        """The weights whose names begin with ``prefix``, without it."""
        chosen = {name: source for name, source in self.sources.items() if name.startswith(prefix)}
        return Weights({name.removeprefix(prefix): source for name, source in chosen.items()})

    def __or__(self, other: "Weights") -> "Weights":
        return Weights({**self.sources, **other.sources})

    def read(self, names: Iterable[str] | None = None) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield each name with its tensor as stored, mapped from the file. Raises :class:`UnreadableWeights` if a file
        changed since it was opened."""
        by_file: dict[WeightFile, list[str]] = {}
        for name in self.sources if names is None else names:
            by_file.setdefault(self.sources[name].file, []).append(name)
        for file, chosen in by_file.items():
            if identity_of(file.path) != file.identity:
                raise UnreadableWeights(f"{file.path.name!r} was changed while a job was using it")
            with worker_context().reading(file.path) as readable, safe_open(readable, framework="pt") as opened:
                for name in chosen:
                    source = self.sources[name]
                    yield name, source.of(opened.get_tensor(source.key))


def json_metadata(file: WeightFile, key: str) -> Mapping[str, object] | None:
    """A JSON object in the file's metadata; ``None`` if there is none."""
    try:
        found = json.loads(file.metadata[key])
    except (KeyError, ValueError):
        return None
    return found if isinstance(found, dict) else None
