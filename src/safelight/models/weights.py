"""Weights as values: tensors of files under canonical names. Tensors are read only when they are needed.

A :class:`WeightFile` is a safetensors or GGUF file; :class:`Weights` are some of its tensors under canonical names. A
quantised weight has one name, whatever it is stored in; reading it gives its numbers.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch
from safetensors import safe_open

from safelight.core.errors import Invalid
from safelight.media import gguf_header, safetensors_header
from safelight.media.media_errors import UnreadableWeights
from safelight.media.weights_format import WeightsFormat, check_weights
from safelight.models.quant.formats import Cast
from safelight.models.quant.ggml_file import ggml_entries, shapes_and_types, tensor_at
from safelight.models.quant.markers import is_mark, quantized_entries
from safelight.models.quant.stored import WEIGHT, QuantizedEntry
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
    quantized: Mapping[str, QuantizedEntry] = field(default_factory=dict, repr=False, compare=False)
    """The quantised weights, by the name of their codes."""
    offsets: Mapping[str, int] | None = field(default=None, repr=False, compare=False)
    """Where each tensor of a GGUF file begins, in bytes."""

    @property
    def path(self) -> Path:
        return Path(self.identity[0])

    def weights(self, prefix: str = "") -> "Weights":
        """The tensors whose names begin with ``prefix``, without it."""
        hidden = self._scales_and_marks
        keys = {key.removeprefix(prefix): key for key in self.shapes if key.startswith(prefix) and key not in hidden}
        return Weights({name: Source(self, key, entry=self.quantized.get(key)) for name, key in keys.items()})

    @cached_property
    def _scales_and_marks(self) -> frozenset[str]:
        if not self.quantized:
            return frozenset()
        marks = {key for key in self.shapes if is_mark(key)}
        return frozenset(
            marks.union(key for codes, entry in self.quantized.items() for _, key, _ in entry.parts if key != codes)
        )

    @contextmanager
    def opened(self) -> Iterator[Callable[[str], torch.Tensor]]:
        """Yield a function that maps a tensor as it is stored. Raises :class:`UnreadableWeights` if the file was
        changed since its header was read."""
        if identity_of(self.path) != self.identity:
            raise UnreadableWeights(f"{self.path.name!r} was changed while a job was using it")
        with worker_context().reading(self.path) as readable:
            if self.offsets is None:
                with safe_open(readable, framework="pt") as file:
                    yield file.get_tensor
                return
            mapped = torch.from_file(str(readable), shared=False, size=self.identity[1], dtype=torch.uint8)
            offsets = self.offsets
            yield lambda key: tensor_at(mapped, offsets[key], self.shapes[key], self.dtypes[key])


def weight_file(path: Path) -> WeightFile:
    """Open a file; reads only the header, and the marks of quantised layers. Raises :class:`UnreadableWeights` for a
    damaged file, a pickle or one that is not quantised as it says; :class:`OSError`."""
    if check_weights(path) is WeightsFormat.GGUF:
        return _gguf_file(path)
    with path.open("rb") as file:
        header = safetensors_header.read(file, name=path.name)
        shapes = {name: torch.Size(entry.shape) for name, entry in header.tensors.items()}
        dtypes = {name: entry.dtype for name, entry in header.tensors.items()}

        def read_bytes(key: str) -> bytes:
            entry = header.tensors[key]
            file.seek(header.data_start + entry.begin)
            return file.read(entry.end - entry.begin)

        quantized = quantized_entries(
            path.name, shapes=shapes, dtypes=dtypes, metadata=header.metadata, read_bytes=read_bytes
        )
    return WeightFile(identity_of(path), shapes, dtypes, header.metadata, quantized)


def _gguf_file(path: Path) -> WeightFile:
    with path.open("rb") as file:
        header = gguf_header.read(file, name=path.name)
    shapes, types = shapes_and_types(path.name, header)
    metadata = {key: value for key, value in header.metadata.items() if isinstance(value, str)}
    offsets = {key: header.data_start + tensor.offset for key, tensor in header.tensors.items()}
    return WeightFile(identity_of(path), shapes, types, metadata, ggml_entries(shapes, types), offsets)


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
    entry: QuantizedEntry | None = None
    """How the tensor is quantised; ``None`` for the tensor as it is stored."""

    @property
    def shape(self) -> torch.Size:
        shape = list(self.file.shapes[self.key] if self.entry is None else self.entry.shape)
        if self.transposed:
            shape.reverse()
        if self.rows is not None:
            shape[0] = self.rows[1] - self.rows[0]
        return torch.Size(self.reshaped or shape)

    @property
    def is_kept_quantized(self) -> bool:
        """Whether a layer can use the weight as it is stored."""
        return self.entry is not None and self.is_unchanged

    @property
    def is_unchanged(self) -> bool:
        """Whether the tensor is read as a whole and as it is."""
        changed = self.rows, self.reshaped, self.rounded
        return not self.transposed and all(change is None for change in changed)

    def read(self, get_tensor: Callable[[str], torch.Tensor]) -> torch.Tensor:
        """The tensor, given a function that maps the tensors of the file."""
        if self.entry is None:
            return self.of(get_tensor(self.key))
        return self.of(self.entry.format.dequantized({part: get_tensor(key) for part, key, _ in self.entry.parts}))

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

    @property
    def quantized(self) -> dict[str, QuantizedEntry]:
        """The weights that layers can use as they are stored."""
        return {
            name: source.entry for name, source in self.sources.items() if source.entry and source.is_kept_quantized
        }

    def half_precision(self, names: Collection[str]) -> dict[str, QuantizedEntry]:
        """Those of ``names`` that are matrices in half precision, and that layers can use as they are stored."""
        found = {}
        for name in names:
            source = self.sources.get(name)
            if source is None or source.entry is not None or not source.is_unchanged:
                continue
            dtype, shape = source.file.dtypes[source.key], source.shape
            if dtype in ("BF16", "F16") and len(shape) == 2:
                found[name] = QuantizedEntry(Cast(dtype), shape, ((WEIGHT, source.key, shape),))
        return found

    def stored(self, names: Collection[str]) -> "Weights":
        """These weights, with the tensors that ``names`` are stored in (``X.weight``, ``X.weight_scale``) for them."""
        found: dict[str, Source] = {}
        for name, source in self.sources.items():
            if name in names and source.entry is not None:
                path = name.rpartition(".")[0]
                found |= {f"{path}.{part}": Source(source.file, key) for part, key, _ in source.entry.parts}
            else:
                found[name] = source
        return Weights(found)

    def rounded(self, dtype: torch.dtype) -> "Weights":
        """Round to this type when a weight is read. Quantised weights are rounded already."""
        return Weights(
            {name: source if source.entry else replace(source, rounded=dtype) for name, source in self.sources.items()}
        )

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
        """Yield each name with its tensor as stored, mapped from the file; of a quantised weight, its numbers. Raises
        :class:`UnreadableWeights` if a file changed since it was opened."""
        by_file: dict[WeightFile, list[str]] = {}
        for name in self.sources if names is None else names:
            by_file.setdefault(self.sources[name].file, []).append(name)
        for file, chosen in by_file.items():
            with file.opened() as get_tensor:
                for name in chosen:
                    yield name, self.sources[name].read(get_tensor)


def count_blocks(names: Iterable[str], prefix: str) -> int:
    """How many blocks there are: one more than the highest number after ``prefix`` and a dot."""
    numbered = re.compile(re.escape(prefix) + r"\.(\d+)\.")
    return max((int(found[1]) + 1 for name in names if (found := numbered.match(name))), default=0)


def json_metadata(file: WeightFile, key: str) -> Mapping[str, object] | None:
    """A JSON object in the file's metadata; ``None`` if there is none."""
    try:
        found = json.loads(file.metadata[key])
    except (KeyError, ValueError):
        return None
    return found if isinstance(found, dict) else None
