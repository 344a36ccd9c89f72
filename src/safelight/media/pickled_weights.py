"""Reads the tensors of a pickled checkpoint as torch writes them, without torch and without running what is in it.

The pickle may name a dozen functions that put tensors together; here each of them only notes what it was given. What
trainers leave beside the weights becomes an inert :class:`Ignored`. Any other name ends the reading: nothing is ever
imported by a file's wish. Formats: the zip of torch 1.6 and later (``data.pkl`` and a member for each storage), and the
older sequence of pickles with all storages behind them.
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

from safelight.media.errors import UnreadableWeights

MAX_NESTING = 16
MAX_DIMENSIONS = 64
MAX_PICKLE_BYTES = 256 * 1024 * 1024
"""Of the objects around the weights; the weights lie outside of it."""

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
"""Modules whose objects lie beside the weights of well-known checkpoints: counters, settings, callbacks."""

_DAMAGE = (
    *(pickle.UnpicklingError, zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, MemoryError),
    *(LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError),
)
"""What the readers below raise for bytes that are not what they should be; the unpickler lets pass what an operation
on the wrong kind of object raises."""

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001


@dataclass(frozen=True, slots=True)
class Dtype:
    name: str

    @property
    def code(self) -> str:
        """As safetensors calls it."""
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
    """``offset`` and ``strides`` count numbers of the ``dtype``, from the start of the storage."""

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
    """Stands for an object of a trainer: takes everything and does nothing."""

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
    """The bytes of storages, each held only while it is looked at."""

    def load(self, storage: Storage) -> memoryview: ...


@dataclass(frozen=True, slots=True)
class PickledFile:
    """``content``: what the pickle holds, with a :class:`PickledTensor` for each tensor."""

    content: Any
    storages: Storages


def read(file: BinaryIO) -> PickledFile:
    """Raises :class:`UnreadableWeights` for what is damaged, of no known form, or names what no weights need."""
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
    """The tensors by name: those under ``state_dict`` or, as upscalers have it, ``params_ema`` or ``params``; names of
    mappings within mappings are joined by dots. Raises :class:`UnreadableWeights` where there is none."""
    if isinstance(content, Mapping):
        for key in ("state_dict", "params_ema", "params"):
            if isinstance(content.get(key), Mapping):
                content = content[key]
                break
    found = dict(_walk(content, "", MAX_NESTING))
    if not found:
        raise UnreadableWeights("the pickle holds no tensor under a name")
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
        _refuse_far_memos(file)
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
        raise UnreadableWeights(f"the pickle wants {module}.{name}, which no weights need; it is not converted")

    def persistent_load(self, pid: Any) -> Storage:
        """``("storage", type, key, place, numbers)``, in old files with the part of a storage that is seen."""
        kind, dtype, key, _, count, *view = pid
        if kind != "storage" or not isinstance(dtype, Dtype) or not isinstance(key, str) or any(view):
            raise UnreadableWeights("the pickle refers to something that is no storage")
        return Storage(key, dtype, _natural(count) * dtype.size)


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> PickledTensor:
    return _tensor_of(storage, storage.dtype, offset, shape, strides)


def _tensor_with_dtype(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> PickledTensor:
    """``_rebuild_tensor_v3``: requires_grad, hooks, dtype and more."""
    return _tensor_of(storage, rest[2], offset, shape, strides)


def _tensor_of(storage: Any, dtype: Any, offset: Any, shape: Any, strides: Any) -> PickledTensor:
    """Raises :class:`UnreadableWeights` for one that reaches beyond its storage."""
    if not isinstance(storage, Storage) or not isinstance(dtype, Dtype) or len(shape) != len(strides):
        raise UnreadableWeights("the pickle puts a tensor together from something else")
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
    """``_rebuild_from_type_v2``: a tensor of a class of its own."""
    if function not in (_tensor, _tensor_with_dtype, _parameter):
        raise UnreadableWeights("the pickle puts a tensor together in an unknown way")
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
        raise UnreadableWeights(f"{number!r} is no size")
    return number


class _ZipStorages:
    def __init__(self, archive: zipfile.ZipFile, prefix: str) -> None:
        self._archive = archive
        self._prefix = prefix

    def load(self, storage: Storage) -> memoryview:
        try:
            info = self._archive.getinfo(f"{self._prefix}data/{storage.key}")
            if info.file_size < storage.size:
                raise UnreadableWeights(f"the storage {storage.key} is cut off")
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
        raise UnreadableWeights("the archive holds no data.pkl: it is not one of torch.save")
    prefix = name.removesuffix("data.pkl")
    if f"{prefix}byteorder" in archive.namelist() and archive.read(f"{prefix}byteorder") != b"little":
        raise UnreadableWeights("the numbers are stored with their high bytes first")
    if archive.getinfo(name).file_size > MAX_PICKLE_BYTES:
        raise UnreadableWeights(f"the pickle itself has more than {MAX_PICKLE_BYTES} bytes")
    with archive.open(name) as member:
        return PickledFile(_Unpickler(io.BytesIO(member.read())).load(), _ZipStorages(archive, prefix))


def _refuse_far_memos(file: BinaryIO) -> None:
    """Objects are remembered under numbers, and an unpickler makes room for all numbers up to the highest: five bytes
    would take gigabytes. Writers count from 0."""
    start = file.tell()
    for count, (operation, number, _) in enumerate(pickletools.genops(file)):
        if operation.name in ("PUT", "BINPUT", "LONG_BINPUT") and isinstance(number, int) and number > count:
            raise UnreadableWeights(f"the pickle remembers its object {number} before it has as many")
    file.seek(start)


class _FileStorages:
    """``places``: where each storage begins, and its bytes."""

    def __init__(self, file: BinaryIO, places: Mapping[str, tuple[int, int]]) -> None:
        self._file = file
        self._places = places

    def load(self, storage: Storage) -> memoryview:
        begin, size = self._places.get(storage.key, (0, 0))
        self._file.seek(begin)
        data = self._file.read(storage.size) if size >= storage.size else b""
        if len(data) < storage.size:
            raise UnreadableWeights(f"the storage {storage.key} is cut off")
        return memoryview(data)


def _read_legacy(file: BinaryIO) -> PickledFile:
    """Magic, version and system; the objects; the storages' keys; then of each storage its count and its numbers."""
    if _load(file) != _LEGACY_MAGIC or _load(file) != _LEGACY_PROTOCOL:
        raise UnreadableWeights("the pickle is not one of torch.save")
    if _load(file).get("little_endian") is not True:
        raise UnreadableWeights("the numbers are stored with their high bytes first")
    storages: dict[str, Storage] = {}
    content = _load(file, storages)
    places: dict[str, tuple[int, int]] = {}
    for key in _load(file):
        (count,) = struct.unpack("<q", file.read(8))
        size = _natural(count) * storages[key].dtype.size
        places[key] = (file.tell(), size)
        file.seek(size, 1)
    return PickledFile(content, _FileStorages(file, places))


def _load(file: BinaryIO, storages: dict[str, Storage] | None = None) -> Any:
    unpickler = _NotingUnpickler(file)
    content = unpickler.load()
    if storages is not None:
        storages |= unpickler.storages
    return content


class _NotingUnpickler(_Unpickler):
    """Mutable: the storages that were referred to, whose types the places behind the pickle need."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, Storage] = {}

    def persistent_load(self, pid: Any) -> Storage:
        storage = super().persistent_load(pid)
        self.storages[storage.key] = storage
        return storage
