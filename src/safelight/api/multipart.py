"""Multipart forms, parsed as they arrive: fields are limited and kept in memory, one file goes into the blob store."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import multipart
from starlette.requests import Request

from safelight.api.error_responses import BodyTooLarge
from safelight.api.request_body import InvalidBody
from safelight.blobs.store import BlobStore, BlobWriter
from safelight.core.digest import Digest, Sha256Digest

MAX_FIELD_BYTES = 1 << 20
MAX_PARTS = 128
HEAD_BYTES = 512


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file whose bytes are in the blob store; no row refers to it yet. ``head``: its first bytes."""

    filename: str
    digest: Digest
    size: int
    head: bytes
    sha256: Sha256Digest


@dataclass(frozen=True, slots=True)
class Form:
    fields: Mapping[str, str]
    files: Mapping[str, UploadedFile] = field(default_factory=dict)
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """All values of each field, in order."""


async def read_form(
    request: Request,
    blobs: BlobStore,
    *,
    file_field: str,
    limit: int,
    expected: Callable[[Mapping[str, str]], Digest | None] = lambda fields: None,
) -> Form:
    """``limit``: of the file, in bytes. ``expected``: returns the digest that the file must have, by the fields that
    came before it.

    Raises :class:`InvalidBody` for a body that is not multipart/form-data, and
    :class:`~safelight.blobs.store.WrongDigest`, with nothing stored, for a file with another digest.
    """
    kind, options = multipart.parse_options_header(request.headers.get("content-type", ""))
    if kind != "multipart/form-data" or not options.get("boundary"):
        raise InvalidBody("the body must be a form (multipart/form-data)")
    reader = _FormReader(blobs, file_field, limit, expected)
    try:
        with multipart.PushMultipartParser(options["boundary"], max_segment_count=MAX_PARTS) as parser:
            async for chunk in request.stream():
                for event in parser.parse(chunk):
                    await reader.feed(event)
    except multipart.MultipartError as error:
        raise InvalidBody(f"the form cannot be read: {error}") from None
    finally:
        await reader.abort()
    return Form(reader.fields, reader.files, reader.lists)


class _FormReader:
    """Mutable: the current part, and the parts that are complete."""

    def __init__(
        self, blobs: BlobStore, file_field: str, limit: int, expected: Callable[[Mapping[str, str]], Digest | None]
    ) -> None:
        self._blobs = blobs
        self._expected = expected
        self._file_field = file_field
        self._limit = limit
        self._part: multipart.MultipartSegment | None = None
        self._writer: BlobWriter | None = None
        self._head = bytearray()
        self._size = 0
        self.fields: dict[str, str] = {}
        self.lists: dict[str, list[str]] = {}
        self.files: dict[str, UploadedFile] = {}

    async def feed(self, event: object) -> None:
        if isinstance(event, multipart.MultipartSegment):
            self._begin(event)
        elif event is None:
            await self._end()
        elif isinstance(event, (bytes, bytearray)):
            await self._add(bytes(event))

    async def abort(self) -> None:
        """Delete the file that was not read to its end, if any."""
        if self._writer is not None:
            with suppress(OSError):
                await self._writer.abort()

    def _begin(self, part: multipart.MultipartSegment) -> None:
        self._part, self._size, self._head = part, 0, bytearray()
        is_file = part.filename is not None and part.name == self._file_field and part.name not in self.files
        self._writer = self._blobs.writer() if is_file else None

    async def _add(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._writer is None:
            if self._size > MAX_FIELD_BYTES:
                raise BodyTooLarge(MAX_FIELD_BYTES)
            self._head += chunk
            return
        if self._size > self._limit:
            raise BodyTooLarge(self._limit)
        if len(self._head) < HEAD_BYTES:
            self._head += chunk[: HEAD_BYTES - len(self._head)]
        await self._writer.write(chunk)

    async def _end(self) -> None:
        assert self._part is not None
        name, filename = self._part.name, self._part.filename
        if self._writer is not None and filename is not None:
            digest, size = await self._writer.finish(self._expected(self.fields))
            self.files[name] = UploadedFile(filename, digest, size, bytes(self._head), self._writer.sha256)
            self._writer = None
        elif filename is None:
            self.fields[name] = self._head.decode("utf-8", "replace")
            self.lists.setdefault(name, []).append(self.fields[name])
