"""``python -m safelight.media.convert_weights``: convert a pickled checkpoint on standard input to safetensors on
standard output.

A process of its own, because it reads untrusted bytes: it opens no file, and before the first byte it gives up the
network, all writing by name, root privileges, and memory and file size beyond its limits. Both ends are seekable files.
An error is a line on standard error, with exit status 1.
"""

import argparse
import contextlib
import errno
import json
import os
import struct
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import BinaryIO, Literal

from safelight.core.errors import SafelightError
from safelight.media import pickled_weights
from safelight.media.pickled_weights import PickledTensor, Storages
from safelight.sandbox.confine import confine
from safelight.sandbox.rules import Account, Rules

_NOBODY = 65534
_ALIGNMENT = 8
_WHOLE_NUMBERS: Mapping[int, Literal["B", "H", "I", "Q"]] = {1: "B", 2: "H", 4: "I", 8: "Q"}
""":class:`memoryview`'s formats for numbers of this many bytes; their type does not matter here."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--memory-bytes", type=int, required=True)
    parser.add_argument("--file-bytes", type=int, required=True)
    options = parser.parse_args()
    source, target = os.fdopen(0, "rb"), os.fdopen(1, "wb")
    _drop_privileges(memory_bytes=options.memory_bytes, file_bytes=options.file_bytes)
    try:
        convert(source, target)
        target.flush()
    except SafelightError as error:
        sys.exit(error.message)
    except MemoryError:
        sys.exit("the conversion needs more memory than its limit")
    except OSError as error:
        sys.exit(
            "the converted file would be far larger than the original" if error.errno == errno.EFBIG else str(error)
        )


def _drop_privileges(*, memory_bytes: int, file_bytes: int) -> None:
    rules = Rules(network=False, writable=(), address_space_bytes=memory_bytes, file_bytes=file_bytes)
    if os.geteuid() == 0:
        # In some containers not even root can change to another user.
        with contextlib.suppress(OSError):
            confine(replace(rules, account=Account(_NOBODY, _NOBODY)))
            return
    confine(rules)


def convert(source: BinaryIO, target: BinaryIO) -> None:
    """Convert tensor by tensor, so that memory holds one storage at a time. Raises :class:`UnreadableWeights`."""
    pickled = pickled_weights.read(source)
    tensors = pickled_weights.weights_of(pickled.content)
    target.write(_header(tensors))
    cache = _StorageCache(pickled.storages)
    for tensor in tensors.values():
        target.writelines(_rows(tensor, cache.load(tensor)))


class _StorageCache:
    """Mutable: caches the last storage, because tensors of one storage mostly follow each other."""

    def __init__(self, storages: Storages) -> None:
        self._storages = storages
        self._key = ""
        self._data = memoryview(b"")

    def load(self, tensor: PickledTensor) -> memoryview:
        if tensor.storage.key != self._key or len(self._data) < tensor.storage.size:
            self._data = memoryview(b"")
            self._data = self._storages.load(tensor.storage)
            self._key = tensor.storage.key
        return self._data


def _header(tensors: Mapping[str, PickledTensor]) -> bytes:
    entries: dict[str, object] = {}
    begin = 0
    for name, tensor in tensors.items():
        end = begin + tensor.size
        entries[name] = {"dtype": tensor.dtype.code, "shape": tensor.shape, "data_offsets": (begin, end)}
        begin = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text = text.ljust(-(-len(text) // _ALIGNMENT) * _ALIGNMENT)
    return struct.pack("<Q", len(text)) + text


def _rows(tensor: PickledTensor, storage: memoryview) -> Iterator[bytes | memoryview]:
    """The tensor's bytes in the order of its indices: in one piece if they are contiguous, else row by row."""
    size = tensor.dtype.size
    if tensor.size == 0:
        return
    if tensor.is_contiguous():
        yield storage[tensor.offset * size :][: tensor.size]
        return
    numbers = storage[: len(storage) // size * size].cast(_WHOLE_NUMBERS[size])
    yield from _rows_from(numbers, tensor.offset, tensor.shape, tensor.strides)


def _rows_from(
    numbers: memoryview, at: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> Iterator[bytes | memoryview]:
    if len(shape) > 1:
        for index in range(shape[0]):
            yield from _rows_from(numbers, at + index * strides[0], shape[1:], strides[1:])
    elif strides[0] == 0:
        yield numbers[at : at + 1].tobytes() * shape[0]
    else:
        yield numbers[at : at + (shape[0] - 1) * strides[0] + 1 : strides[0]].tobytes()


if __name__ == "__main__":
    main()
