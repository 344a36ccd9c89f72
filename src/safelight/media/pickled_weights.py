"""Read the tensors of a pickled checkpoint in torch's format, without torch and without running code from it.

The pickle may name a dozen functions that build tensors; here each of them only records its arguments. Objects that
trainers store next to the weights become an inert :class:`Ignored`. Any other name aborts the reading; a file can never
import anything. Formats: the zip of torch 1.6 and later (``data.pkl`` and a member for each storage), and the older
sequence of pickles followed by all storages.
"""

import collections
import io
import math
import pickle
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from safelight.media.media_errors import UnreadableWeights

MAX_NESTING = 16
MAX_DIMENSIONS = 64
MAX_PICKLE_BYTES = 256 * 1024 * 1024
"""Size of the pickle itself; the weights are stored outside of it."""

DTYPES: Mapping[str, tuple[str, int]] = {
    # torch's name: (the name in safetensors, bytes of a number)
    "float64": ("F64", 8),
    "float32": ("F32", 4),
    "float16": ("F16", 2),
    "bfloat16": ("BF16", 2),
    "int64": ("I64", 8),
    "int32": ("I32", 4),
    "int16": ("I16", 2),
    "int8": ("I8", 1),
    "uint8": ("U8", 1),
    "bool": ("BOOL", 1),
    "float8_e4m3fn": ("F8_E4M3", 1),
    "float8_e5m2": ("F8_E5M2", 1),
}
_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "UntypedStorage": "uint8",
}
_IGNORED = ("pytorch_lightning.", "lightning.", "lightning_fabric.", "omegaconf.", "numpy.", "_codecs.", "typing.")
"""Modules of objects that well-known checkpoints contain besides the weights: counters, settings, callbacks."""

_DAMAGE = (
    *(pickle.UnpicklingError, zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, MemoryError),
    *(LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError),
)
"""Exceptions that the readers below raise for damaged bytes; the unpickler passes on what an operation on the wrong
kind of object raises."""

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001


@dataclass(frozen=True, slots=True)
class Dtype:
    name: str

    @property
    def code(self) -> str:
        """The name in safetensors."""
        return DTYPES[self.name][0]

    @property
    def size(self) -> int:
        return DTYPES[self.name][1]


@dataclass(frozen=True, slots=True)
class Storage:
    """``size`` in bytes."""

    key: str
    dtype: Dtype
    size: int


@dataclass(frozen=True, slots=True)
class PickledTensor:
    """``offset`` and ``strides`` count elements of the ``dtype``, from the start of the storage."""

    storage: Storage
    dtype: Dtype
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def size(self) -> int:
        """In bytes, without gaps."""
        return math.prod(self.shape) * self.dtype.size

    def is_contiguous(self) -> bool:
        expected = 1
        for length, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if length != 1 and stride != expected:
                return False
            expected *= length
        return True


class Ignored:
    """Reranges an object of a trainer: accepts everything and does nothing."""

    def __new__(cls, *args: Any, **kwargs: Any) -> "Ignored":
        return object.__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...

    def __setitem__(self, key: Any, value: Any) -> None: ...

    def append(self, item: Any) -> None: ...

    def extend(self, items: Any) -> None: ...

    def __hash__(self) -> int:
        return 0


class Storages(Protocol):
    """The bytes of storages; each is in memory only while it is used."""

    def load(self, storage: Storage) -> memoryview: ...


@dataclass(frozen=True, slots=True)
class PickledFile:
    """``content``: the pickled objects, with a :class:`PickledTensor` for each tensor."""

    content: Any
    storages: Storages


def read(file: BinaryIO) -> PickledFile:
    """Read a pickle. Raises :class:`UnreadableWeights` if it is damaged, of an unknown format, or names something that
    weights do not need."""
    try:
        if zipfile.is_zipfile(file):
            return _read_zip(file)
        file.seek(0)
        return _read_legacy(file)
    except UnreadableWeights:
        raise
    except _DAMAGE as error:
        raise UnreadableWeights(f"the pickle is damaged: {type(error).__name__}: {error}") from None


def weights_of(content: Any) -> dict[str, PickledTensor]:
    """The tensors by name: those under ``state_dict`` or, in upscalers, ``params_ema`` or ``params``; names in nested
    mappings are joined by dots. Raises :class:`UnreadableWeights` if there are none."""
    if isinstance(content, Mapping):
        for key in ("state_dict", "params_ema", "params"):
            if isinstance(content.get(key), Mapping):
                content = content[key]
                break
    found = dict(_walk(content, "", MAX_NESTING))
    if not found:
        raise UnreadableWeights("the pickle contains no named tensor")
    return found


def _walk(content: Any, prefix: str, depth: int) -> Iterator[tuple[str, PickledTensor]]:
    if isinstance(content, PickledTensor):
        yield prefix, content
    elif isinstance(content, Mapping) and depth:
        for key, value in content.items():
            if isinstance(key, str | int):
                yield from _walk(value, f"{prefix}.{key}" if prefix else str(key), depth - 1)


class _Unpickler(pickle.Unpickler):
    """Knows the names of :data:`_KNOWN` and the dtypes and storages of torch; nothing is imported."""

    def __init__(self, file: BinaryIO) -> None:
        _check_memo_numbers(file)
        super().__init__(file, encoding="utf-8")

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _KNOWN:
            return _KNOWN[module, name]
        if module in ("torch", "torch.storage"):
            if name in _STORAGES:
                return Dtype(_STORAGES[name])
            if name in DTYPES:
                return Dtype(name)
        if f"{module}.".startswith(_IGNORED):
            return Ignored
        raise UnreadableWeights(f"not converted: the pickle asks for {module}.{name}, which weights do not need")

    def persistent_load(self, pid: Any) -> Storage:
        """``("storage", type, key, location, count)``, in old files with the visible part of a storage."""
        kind, dtype, key, _, count, *view = pid
        if kind != "storage" or not isinstance(dtype, Dtype) or not isinstance(key, str) or any(view):
            raise UnreadableWeights("the pickle refers to something other than a storage")
        return Storage(key, dtype, _natural(count) * dtype.size)


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> PickledTensor:
    return _tensor_of(storage, storage.dtype, offset, shape, strides)


def _tensor_with_dtype(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> PickledTensor:
    """``_rebuild_tensor_v3``: requires_grad, hooks, dtype and more."""
    return _tensor_of(storage, rest[2], offset, shape, strides)


def _tensor_of(storage: Any, dtype: Any, offset: Any, shape: Any, strides: Any) -> PickledTensor:
    """Raises :class:`UnreadableWeights` if the tensor reaches beyond its storage."""
    if not isinstance(storage, Storage) or not isinstance(dtype, Dtype) or len(shape) != len(strides):
        raise UnreadableWeights("the pickle builds a tensor from something other than a storage")
    if len(shape) > MAX_DIMENSIONS:
        raise UnreadableWeights(f"a tensor has {len(shape)} dimensions")
    tensor = PickledTensor(storage, dtype, _natural(offset), tuple(map(_natural, shape)), tuple(map(_natural, strides)))
    last = tensor.offset + sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.strides, strict=True))
    if math.prod(tensor.shape) and (last + 1) * dtype.size > storage.size:
        raise UnreadableWeights("a tensor reaches beyond its storage")
    return tensor


def _parameter(data: Any, *_: Any) -> Any:
    return data


def _of_type(function: Any, kind: Any, arguments: Any, state: Any) -> Any:
    """``_rebuild_from_type_v2``: a tensor of a subclass."""
    if function not in (_tensor, _tensor_with_dtype, _parameter):
        raise UnreadableWeights("the pickle builds a tensor in an unknown way")
    return function(*arguments)


_KNOWN: Mapping[tuple[str, str], Callable[..., Any] | type] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("collections", "defaultdict"): lambda *_: {},
    ("torch", "Size"): tuple,
    ("torch", "device"): Ignored,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _tensor_with_dtype,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _parameter,
    ("torch._tensor", "_rebuild_from_type_v2"): _of_type,
    ("torch", "Tensor"): Ignored,
    ("torch.nn.parameter", "Parameter"): Ignored,
    ("argparse", "Namespace"): Ignored,
    ("__builtin__", "set"): set,
    ("builtins", "set"): set,
}


def _natural(number: Any) -> int:
    if type(number) is not int or not 0 <= number < 2**62:
        raise UnreadableWeights(f"invalid size {number!r}")
    return number


class _ZipStorages:
    def __init__(self, archive: zipfile.ZipFile, prefix: str) -> None:
        self._archive = archive
        self._prefix = prefix

    def load(self, storage: Storage) -> memoryview:
        try:
            info = self._archive.getinfo(f"{self._prefix}data/{storage.key}")
            if info.file_size < storage.size:
                raise UnreadableWeights(f"the storage {storage.key} is truncated")
            with self._archive.open(info) as member:
                return memoryview(member.read(storage.size))
        except UnreadableWeights:
            raise
        except _DAMAGE as error:
            raise UnreadableWeights(f"the storage {storage.key} cannot be read: {error}") from None


def _read_zip(file: BinaryIO) -> PickledFile:
    archive = zipfile.ZipFile(file)
    name = next((n for n in archive.namelist() if n == "data.pkl" or n.endswith("/data.pkl")), None)
    if name is None:
        raise UnreadableWeights("the archive contains no data.pkl: it was not written by torch.save")
    prefix = name.removesuffix("data.pkl")
    if f"{prefix}byteorder" in archive.namelist() and archive.read(f"{prefix}byteorder") != b"little":
        raise UnreadableWeights("the numbers are stored in big-endian order")
    if archive.getinfo(name).file_size > MAX_PICKLE_BYTES:
        raise UnreadableWeights(f"the pickle itself has more than {MAX_PICKLE_BYTES} bytes")
    with archive.open(name) as member:
        return PickledFile(_Unpickler(io.BytesIO(member.read())).load(), _ZipStorages(archive, prefix))


def _check_memo_numbers(file: BinaryIO) -> None:
    """Refuse memo numbers that are too high. Unpicklers allocate space for all numbers up to the highest, so that five
    bytes would take gigabytes. Writers count from 0."""
    start = file.tell()
    for count, (operation, number, _) in enumerate(pickletools.genops(file)):
        if operation.name in ("PUT", "BINPUT", "LONG_BINPUT") and isinstance(number, int) and number > count:
            raise UnreadableWeights(f"invalid memo number {number} in the pickle: too high")
    file.seek(start)


class _FileStorages:
    """``ranges``: the start and the size of each storage."""

    def __init__(self, file: BinaryIO, ranges: Mapping[str, tuple[int, int]]) -> None:
        self._file = file
        self._ranges = ranges

    def load(self, storage: Storage) -> memoryview:
        begin, size = self._ranges.get(storage.key, (0, 0))
        self._file.seek(begin)
        data = self._file.read(storage.size) if size >= storage.size else b""
        if len(data) < storage.size:
            raise UnreadableWeights(f"the storage {storage.key} is truncated")
        return memoryview(data)


def _read_legacy(file: BinaryIO) -> PickledFile:
    """Magic, version and system; the objects; the storages' keys; then for each storage its count and its numbers."""
    if _load(file) != _LEGACY_MAGIC or _load(file) != _LEGACY_PROTOCOL:
        raise UnreadableWeights("the pickle was not written by torch.save")
    if _load(file).get("little_endian") is not True:
        raise UnreadableWeights("the numbers are stored in big-endian order")
    storages: dict[str, Storage] = {}
    content = _load(file, storages)
    ranges: dict[str, tuple[int, int]] = {}
    for key in _load(file):
        (count,) = struct.unpack("<q", file.read(8))
        size = _natural(count) * storages[key].dtype.size
        ranges[key] = (file.tell(), size)
        file.seek(size, 1)
    return PickledFile(content, _FileStorages(file, ranges))


def _load(file: BinaryIO, storages: dict[str, Storage] | None = None) -> Any:
    unpickler = _RecordingUnpickler(file)
    content = unpickler.load()
    if storages is not None:
        storages |= unpickler.storages
    return content


class _RecordingUnpickler(_Unpickler):
    """Mutable: records the storages that were referenced, because the data after the pickle does not repeat their
    types."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, Storage] = {}

    def persistent_load(self, pid: Any) -> Storage:
        storage = super().persistent_load(pid)
        self.storages[storage.key] = storage
        return storage
