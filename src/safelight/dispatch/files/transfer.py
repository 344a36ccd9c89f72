"""Copies files between a machine's own disk and the object store, for engines that share no folder with their server.

It stands between a slot's supervisor and its listener: an order waits until the files that it names are here, and what
an engine sends waits until the outputs that it has reported are stored. The store is reached through presigned URLs,
one for each file: this machine has no keys, and its engines know nothing of the store.

What is stored is what was hashed, even if an output is written to meanwhile: it is first copied to a folder that
engines cannot write to.
"""

import asyncio
import logging
import os
import shutil
import tempfile
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import aiohttp
import msgspec
from blake3 import blake3
from yarl import URL

from safelight.blobs.cache import FileCache
from safelight.blobs.checking import CHUNK, verified
from safelight.blobs.opening import open_file
from safelight.blobs.store import STORE_RETRY, BlobMissing, StoreUnavailable, WrongDigest
from safelight.core.backoff import Retrier, RetryPolicy
from safelight.core.clock import SystemClock
from safelight.core.digest import Digest, Sha256Digest, parse_digest
from safelight.core.errors import Invalid, SafelightError
from safelight.core.job import JobState
from safelight.core.worker import SlotId
from safelight.dispatch.backend import EngineHost, EngineListener
from safelight.dispatch.files.folders import SEARCHABLE, set_owner
from safelight.dispatch.files.inputs import Inputs
from safelight.dispatch.files.outputs import path_of
from safelight.sandbox.rules import Account
from safelight.wire.correlator import Correlator
from safelight.wire.messages import (
    AttemptLost,
    CancelJob,
    InputsValidated,
    JobDone,
    OutputReady,
    Ready,
    RunJob,
    SavedFile,
    ToEngine,
    ToServer,
    ValidateInputs,
)

log = logging.getLogger(__name__)

Method = Literal["GET", "PUT"]

Presign = Callable[[int, Method, Digest], None]
"""Sends a request for a presigned URL to the server: the id of the request, the method, the blob."""

_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)


@dataclass(frozen=True, slots=True)
class _EngineEnded:
    reason: str


@dataclass(slots=True, eq=False)
class _Job:
    """The attempt that the engine was sent last."""

    order: RunJob
    staging: Path
    inputs: ExitStack = field(default_factory=ExitStack)  # its input files
    preparing: asyncio.Task[None] | None = None  # until its files are here


class FileTransfer:
    """An :class:`~safelight.dispatch.backend.EngineHost` around another one, which copies files.

    Mutable: the current attempt, the messages that wait for the store, and the requests for URLs without an answer.
    """

    def __init__(
        self,
        host: EngineHost,
        *,
        folder: Path,
        cache_bytes: int,
        account: Account | None,
        presign: Presign,
        store_retry: RetryPolicy = STORE_RETRY,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``folder``: nobody else uses it. ``account``: the account that the engine runs as, if not that of this
        process. ``presign``: its answers arrive through :meth:`presigned`."""
        self._host = host
        self._account = account
        self._staging = staging_of(folder)
        self._outgoing = folder / "outgoing"
        self._presign = presign
        self._retry = Retrier(store_retry, SystemClock(), sleep)
        self._cache = FileCache(self, inputs_of(folder), max_bytes=cache_bytes)
        self._inputs = Inputs(self._cache, self._retry)
        self._given = given_to(folder)
        self._http: aiohttp.ClientSession | None = None
        self._listener: EngineListener | None = None
        self._messages: deque[Ready | ToServer | _EngineEnded] = deque()
        self._storing: asyncio.Task[None] | None = None
        self._is_ready = False
        self._is_ending = False  # the end of the engine waits behind messages that are not delivered yet
        self._is_abandoned = False  # an output is not stored: further messages of the engine are not delivered
        self._job: _Job | None = None
        self._urls: Correlator[str] = Correlator()
        self._wanted: dict[int, tuple[Method, Digest]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def slot(self) -> SlotId:
        return self._host.slot

    def start(self, listener: EngineListener) -> None:
        self._make_folders()
        self._listener = listener
        self._host.start(self)

    def send(self, message: ToEngine) -> None:
        if not self._is_ready or self._is_ending:
            return
        match message:
            case RunJob():
                self._begin(message)
            case CancelJob() if self._job is not None and self._job.preparing is not None:
                if (message.job_id, message.attempt) == (self._job.order.job_id, self._job.order.attempt):
                    self._job.preparing.cancel()
                    self._job.preparing = None
                    self._end_for_engine(self._job, JobState.CANCELLED)
            case ValidateInputs() if message.files:
                self._spawn(self._prepare_validation(message))
            case _:
                self._host.send(message)

    def kill(self, reason: str) -> None:
        if not self._is_ending:
            self._host.kill(reason)

    def drain(self, reason: str) -> None:
        self._host.drain(reason)

    def resume(self) -> None:
        self._host.resume()

    async def stop(self) -> None:
        self._listener = None
        await self._host.stop()
        self._messages.clear()
        tasks = [*self._tasks, *([self._storing] if self._storing else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._cache.close()
        if self._http is not None:
            await self._http.close()
        for folder in (self._staging, self._outgoing, self._given):
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def presigned(self, request_id: int, url: str) -> None:
        """The server's answer to a request for a URL; an empty ``url`` if it has none."""
        self._urls.answer(request_id, url)

    def presign_again(self) -> None:
        """Another server has taken over: send it the requests that are not answered yet."""
        for request in self._urls.pending():
            self._presign(request.id, *self._wanted[request.id])

    # -- orders --

    def _begin(self, order: RunJob) -> None:
        self._job = job = _Job(order, self._staging / uuid.uuid4().hex)
        job.preparing = self._spawn(self._prepare_job(job))

    async def _prepare_job(self, job: _Job) -> None:
        order = job.order
        try:
            await asyncio.to_thread(self._make_staging, job.staging)
            files = await self._inputs.fetch(order.files, job.inputs, folder=self._given / job.staging.name)
        except Exception as error:  # a boundary: whatever fails, the attempt must end
            job.preparing = None
            log.error("files of job %s could not be copied to the worker", order.job_id, exc_info=_unexpected(error))
            if not await asyncio.to_thread(self._staging.is_dir):
                # For the next engine: this one may write to the old folder only.
                await asyncio.to_thread(self._make_folders)
            if self._job is job:
                reason = f"the job's files could not be copied to its worker: {error}"
                self._receive(_lost(order, reason))
                self.kill(reason)
            return
        finally:
            if self._job is not job:
                job.inputs.close()
        job.preparing = None
        if self._job is job:
            self._host.send(msgspec.structs.replace(order, files=files, staging=str(job.staging)))

    def _make_staging(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        set_owner(folder, self._account)

    async def _prepare_validation(self, message: ValidateInputs) -> None:
        with ExitStack() as inputs:
            try:
                folder = self._given / uuid.uuid4().hex
                files = await self._inputs.fetch(message.files, inputs, folder=folder, retry=False)
            except Exception:  # the run validates the inputs
                self._receive(InputsValidated(request_id=message.request_id))
                return
            self._host.send(msgspec.structs.replace(message, files=files))

    def _end_for_engine(self, job: _Job, outcome: JobState) -> None:
        """End an attempt that the engine was never sent."""
        self._receive(JobDone(job_id=job.order.job_id, attempt=job.order.attempt, outcome=outcome))

    def _make_folders(self) -> None:
        for folder in (self._staging, self._outgoing, self._given):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            folder.chmod(0o700 if folder == self._outgoing else SEARCHABLE)

    # -- messages of the engine (dispatch/backend.py: EngineListener) --

    def engine_ready(self, slot: SlotId, ready: Ready) -> None:
        self._receive(ready)

    def engine_message(self, slot: SlotId, message: ToServer) -> None:
        self._receive(message)

    def engine_lost(self, slot: SlotId, reason: str) -> None:
        """Outputs of an attempt that has ended are still stored; those of other attempts are not needed."""
        self._is_ending = True
        if not any(isinstance(message, JobDone | AttemptLost) for message in self._messages):
            self._messages.clear()
            if self._storing is not None:
                self._storing.cancel()
                self._storing = None
        self._receive(_EngineEnded(reason))

    def _receive(self, message: Ready | ToServer | _EngineEnded) -> None:
        self._messages.append(message)
        self._deliver()

    def _deliver(self) -> None:
        """Pass messages to the listener in their order, up to one that must wait for the store."""
        while self._messages and self._storing is None and self._listener is not None:
            message = self._messages.popleft()
            if self._is_abandoned and not isinstance(message, _EngineEnded):
                continue
            match message:
                case OutputReady() if message.files:
                    self._storing = asyncio.create_task(self._store(message))
                case Ready():
                    self._is_ready = True
                    self._listener.engine_ready(self.slot, message)
                case _EngineEnded():
                    self._is_ready = self._is_ending = self._is_abandoned = False
                    self._release_job()
                    self._listener.engine_lost(self.slot, message.reason)
                case JobDone():
                    self._release_job()
                    self._listener.engine_message(self.slot, message)
                case _:
                    self._listener.engine_message(self.slot, message)

    def _release_job(self) -> None:
        """The attempt is over."""
        job, self._job = self._job, None
        if job is None:
            return
        if job.preparing is not None:
            job.preparing.cancel()
        job.inputs.close()
        self._spawn(asyncio.to_thread(shutil.rmtree, job.staging, ignore_errors=True))

    # -- outputs --

    async def _store(self, output: OutputReady) -> None:
        """Ends with :meth:`_deliver`, unless it is cancelled."""
        try:
            files = await asyncio.gather(*map(self._store_file, output.files))
        except Exception as error:  # a boundary: any message of an engine, and any failure to handle it
            log.error("an output could not be stored: %s", error, exc_info=_unexpected(error))
            self._is_abandoned = True
            reason = f"an output of the worker process could not be stored: {error}"
            if self._listener is not None and self._job is not None and _is_infra_failure(error):
                self._listener.engine_message(self.slot, _lost(self._job.order, reason))
            self.kill(reason)
        else:
            if self._listener is not None:
                self._listener.engine_message(self.slot, msgspec.structs.replace(output, files=files))
        self._storing = None
        self._deliver()

    async def _store_file(self, file: SavedFile) -> SavedFile:
        assert self._job is not None
        source, digest = await asyncio.to_thread(path_of, file, self._job.staging), parse_digest(file.digest)
        handle, name = await asyncio.to_thread(tempfile.mkstemp, dir=self._outgoing)
        path = Path(name)
        try:
            other = await asyncio.to_thread(_copy, source, handle, digest)
            await self._retry.run(lambda: self._put(path, digest), what="store an output")
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)
        await asyncio.to_thread(source.unlink, missing_ok=True)
        return msgspec.structs.replace(file, sha256=other)

    async def _put(self, path: Path, digest: Digest) -> None:
        url = await self._url("PUT", digest)
        with await open_file(path) as file:
            async with await self._request("PUT", url, digest, data=file):
                pass

    # -- the store (blobs/cache.py: Source) --

    def local_path(self, digest: Digest) -> Path | None:
        return None

    async def read(self, digest: Digest) -> AsyncIterator[bytes]:
        response = await self._request("GET", await self._url("GET", digest), digest)
        async with response:
            size = response.content_length
            if size is None:
                raise StoreUnavailable("the object store sends no content length")
            try:
                async for chunk in verified(response.content.iter_chunked(CHUNK), digest, size):
                    yield chunk
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                raise StoreUnavailable(f"the connection to the object store broke: {_brief(error)}") from error

    async def _request(self, method: Method, url: str, digest: Digest, **options: Any) -> aiohttp.ClientResponse:
        if self._http is None:
            self._http = aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=True)
        try:
            response = await self._http.request(method, URL(url, encoded=True), **options)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise StoreUnavailable(f"the object store does not answer this machine: {_brief(error)}") from error
        if response.status == 404:
            response.close()
            raise BlobMissing(f"there is no blob {digest}")
        if response.status != 200:
            text = (await response.text())[:200]
            response.close()
            raise StoreUnavailable(f"the object store answered {response.status} to {method}: {text}")
        return response

    async def _url(self, method: Method, digest: Digest) -> str:
        with self._urls.request() as request:
            self._wanted[request.id] = method, digest
            try:
                self._presign(request.id, method, digest)
                url = await asyncio.wrap_future(request.answer)
            finally:
                del self._wanted[request.id]
        if not url:
            raise StoreUnavailable("the server can presign no URL for the object store")
        return url

    def _spawn(self, work: Any) -> "asyncio.Task[None]":
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("files of a job could not be copied", exc_info=error)


def _lost(order: RunJob, reason: str) -> AttemptLost:
    return AttemptLost(job_id=order.job_id, attempt=order.attempt, reason=reason)


def _is_infra_failure(error: Exception) -> bool:
    """Whether the machine or the store failed, as opposed to a message of the engine that is wrong."""
    return isinstance(error, OSError | SafelightError) and not isinstance(error, Invalid)


def staging_of(folder: Path) -> Path:
    """Where the engine writes its outputs."""
    return folder / "staging"


def given_to(folder: Path) -> Path:
    """Where the engine finds the input files of its job."""
    return folder / "given"


def inputs_of(folder: Path) -> Path:
    """The cache of input files."""
    return folder / "inputs"


def _copy(source: Path, handle: int, digest: Digest) -> Sha256Digest:
    """Copy a file and check its digest. Blocks. Raises :class:`WrongDigest`."""
    hasher, other = blake3(), sha256()
    with (
        os.fdopen(handle, "wb", buffering=0) as to,
        os.fdopen(os.open(source, os.O_RDONLY | os.O_NOFOLLOW), "rb", buffering=0) as file,
    ):
        while chunk := file.read(CHUNK):
            hasher.update(chunk)
            other.update(chunk)
            view = memoryview(chunk)
            while view:
                view = view[to.write(view) :]
    if hasher.hexdigest() != digest:
        raise WrongDigest(f"{source.name} is not {digest}")
    return Sha256Digest(other.hexdigest())


def _unexpected(error: Exception) -> Exception | None:
    """The exception to log with its stack; ``None`` for an error of ours, which needs none."""
    return None if isinstance(error, SafelightError) else error


def _brief(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:200]
