"""Carries files between a machine's own disk and the store, for engines whose server shares no folder with them.

Stands between a slot's supervisor and whoever follows it: an order waits until the files that it names are here, and
what an engine says waits until the outputs that it has told of are stored. The store is reached by addresses that the
server signs, one for each file: this machine knows no keys, and its engines know nothing of the store.

What is stored is what was hashed, whoever writes to an output meanwhile: it is copied first, to where engines do not
write.
"""

import asyncio
import itertools
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
from safelight.blobs.checking import CHUNK, held_back
from safelight.blobs.opening import open_file
from safelight.blobs.store import BlobMissing, StoreUnavailable, WrongDigest
from safelight.core.clock import SystemClock
from safelight.core.digest import Digest, Sha256Digest, parse_digest
from safelight.core.errors import Invalid, SafelightError
from safelight.core.job import JobState
from safelight.core.worker import SlotId
from safelight.dispatch.backend import EngineListener
from safelight.dispatch.backends.slot_dirs import SEARCHABLE, own
from safelight.dispatch.backends.supervisor import Supervisor
from safelight.dispatch.files.inputs import Inputs
from safelight.dispatch.files.outputs import path_of
from safelight.sandbox.rules import Account
from safelight.services.patience import Patience
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

_TIMES = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)


@dataclass(frozen=True, slots=True)
class Want:
    """An address is asked for."""

    request: int
    method: Method
    digest: Digest


@dataclass(frozen=True, slots=True)
class _Lost:
    reason: str


@dataclass(slots=True, eq=False)
class _Job:
    """The attempt that the engine was sent last. ``held``: its input files."""

    order: RunJob
    staging: Path
    held: ExitStack = field(default_factory=ExitStack)
    coming: asyncio.Task[None] | None = None  # until its files are here


class FileTransfer:
    """Mutable: the attempt of the moment, what was said and is not told yet, the addresses that are asked for.

    Has the methods of a supervisor. ``folder`` belongs to its agent alone; ``want`` requests a presigned URL, which
    arrives with :meth:`addressed`. ``account``: the account the engine runs as, if not that of this process.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        *,
        folder: Path,
        cache_bytes: int,
        account: Account | None,
        want: Callable[[Want], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._supervisor = supervisor
        self._account = account
        self._staging = staging_of(folder)
        self._outgoing = folder / "outgoing"
        self._want = want
        self._patience = Patience(SystemClock(), sleep)
        self._cache = FileCache(self, inputs_of(folder), max_bytes=cache_bytes)
        self._inputs = Inputs(self._cache, self._patience)
        self._rooms = given_to(folder)
        self._http: aiohttp.ClientSession | None = None
        self._listener: EngineListener | None = None
        self._words: deque[Ready | ToServer | _Lost] = deque()
        self._storing: asyncio.Task[None] | None = None
        self._is_ready = False
        self._is_losing = False  # the loss waits behind words that are not told yet
        self._is_given_up = False  # an output is not stored: what else its engine says is not told
        self._job: _Job | None = None
        self._asked: dict[int, tuple[Want, asyncio.Future[str]]] = {}
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, listener: EngineListener) -> None:
        self._make_folders()
        self._listener = listener
        self._supervisor.start(self)

    def send(self, message: ToEngine) -> None:
        if not self._is_ready or self._is_losing:
            return
        match message:
            case RunJob():
                self._begin(message)
            case CancelJob() if self._job is not None and self._job.coming is not None:
                if (message.job_id, message.attempt) == (self._job.order.job_id, self._job.order.attempt):
                    self._job.coming.cancel()
                    self._job.coming = None
                    self._end_for_engine(self._job, JobState.CANCELLED)
            case ValidateInputs() if message.files:
                self._spawn(self._bring_question(message))
            case _:
                self._supervisor.send(message)

    def kill(self, reason: str) -> None:
        if not self._is_losing:
            self._supervisor.kill(reason)

    def retire(self, reason: str) -> None:
        self._supervisor.retire(reason)

    def restore(self) -> None:
        self._supervisor.restore()

    async def stop(self) -> None:
        self._listener = None
        await self._supervisor.stop()
        self._words.clear()
        tasks = [*self._tasks, *([self._storing] if self._storing else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._cache.close()
        if self._http is not None:
            await self._http.close()
        for folder in (self._staging, self._outgoing, self._rooms):
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def addressed(self, request: int, url: str) -> None:
        """The server's answer; an empty ``url``: there is none."""
        _, answer = self._asked.get(request, (None, None))
        if answer is not None and not answer.done():
            answer.set_result(url)

    def ask_again(self) -> None:
        """Another server is the one to ask."""
        for want, answer in self._asked.values():
            if not answer.done():
                self._want(want)

    # -- orders --

    def _begin(self, order: RunJob) -> None:
        self._job = job = _Job(order, self._staging / uuid.uuid4().hex)
        job.coming = self._spawn(self._bring_job(job))

    async def _bring_job(self, job: _Job) -> None:
        order = job.order
        try:
            job.staging.mkdir(mode=0o700)
            own(job.staging, self._account)
            files = await self._inputs.fetch(order.files, job.held, room=self._rooms / job.staging.name)
        except Exception as error:  # a boundary: whatever fails, the attempt has an end
            job.coming = None
            log.error("files of job %s could not be brought", order.job_id, exc_info=_unless_told(error))
            if not self._staging.is_dir():
                self._make_folders()  # for the next engine: this one may write to the old folder only
            if self._job is job:
                reason = f"the job's files could not be brought to its worker: {error}"
                self._pass_on(_lost(order, reason))
                self.kill(reason)
            return
        finally:
            if self._job is not job:
                job.held.close()
        job.coming = None
        if self._job is job:
            self._supervisor.send(msgspec.structs.replace(order, files=files, staging=str(job.staging)))

    async def _bring_question(self, message: ValidateInputs) -> None:
        with ExitStack() as held:
            try:
                room = self._rooms / uuid.uuid4().hex
                files = await self._inputs.fetch(message.files, held, room=room, is_patient=False)
            except Exception:  # the nodes judge when the job runs
                self._pass_on(InputsValidated(request_id=message.request_id))
                return
            self._supervisor.send(msgspec.structs.replace(message, files=files))

    def _end_for_engine(self, job: _Job, outcome: JobState) -> None:
        """The engine was never sent it."""
        self._pass_on(JobDone(job_id=job.order.job_id, attempt=job.order.attempt, outcome=outcome))

    def _make_folders(self) -> None:
        for folder in (self._staging, self._outgoing, self._rooms):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            folder.chmod(0o700 if folder == self._outgoing else SEARCHABLE)

    # -- what the supervisor says (dispatch/backend.py: EngineListener) --

    def engine_ready(self, slot: SlotId, ready: Ready) -> None:
        self._pass_on(ready)

    def engine_message(self, slot: SlotId, message: ToServer) -> None:
        self._pass_on(message)

    def engine_lost(self, slot: SlotId, reason: str) -> None:
        """Outputs of an attempt that has ended are stored all the same; of others nobody wants them."""
        self._is_losing = True
        if not any(isinstance(word, JobDone | AttemptLost) for word in self._words):
            self._words.clear()
            if self._storing is not None:
                self._storing.cancel()
                self._storing = None
        self._pass_on(_Lost(reason))

    def _pass_on(self, word: Ready | ToServer | _Lost) -> None:
        self._words.append(word)
        self._tell()

    def _tell(self) -> None:
        """Tell the words in their order, up to one that must wait for the store."""
        while self._words and self._storing is None and self._listener is not None:
            word = self._words.popleft()
            if self._is_given_up and not isinstance(word, _Lost):
                continue
            slot = self._supervisor.slot
            match word:
                case OutputReady() if word.files:
                    self._storing = asyncio.create_task(self._store(word))
                case Ready():
                    self._is_ready = True
                    self._listener.engine_ready(slot, word)
                case _Lost():
                    self._is_ready = self._is_losing = self._is_given_up = False
                    self._let_go()
                    self._listener.engine_lost(slot, word.reason)
                case JobDone():
                    self._let_go()
                    self._listener.engine_message(slot, word)
                case _:
                    self._listener.engine_message(slot, word)

    def _let_go(self) -> None:
        """The attempt is over."""
        job, self._job = self._job, None
        if job is None:
            return
        if job.coming is not None:
            job.coming.cancel()
        job.held.close()
        self._spawn(asyncio.to_thread(shutil.rmtree, job.staging, ignore_errors=True))

    # -- outputs --

    async def _store(self, output: OutputReady) -> None:
        """Ends with :meth:`_tell`, unless it is cancelled."""
        try:
            files = await asyncio.gather(*map(self._store_file, output.files))
        except Exception as error:  # a boundary: whatever an engine says and whatever fails at it
            log.error("an output could not be stored: %s", error, exc_info=_unless_told(error))
            self._is_given_up = True
            reason = f"an output of the worker process could not be stored: {error}"
            if self._listener is not None and self._job is not None and _is_beside_the_node(error):
                self._listener.engine_message(self._supervisor.slot, _lost(self._job.order, reason))
            self.kill(reason)
        else:
            if self._listener is not None:
                self._listener.engine_message(self._supervisor.slot, msgspec.structs.replace(output, files=files))
        self._storing = None
        self._tell()

    async def _store_file(self, file: SavedFile) -> SavedFile:
        assert self._job is not None
        source, digest = path_of(file, self._job.staging), parse_digest(file.digest)
        handle, name = await asyncio.to_thread(tempfile.mkstemp, dir=self._outgoing)
        path = Path(name)
        try:
            other = await asyncio.to_thread(_copy, source, handle, digest)
            await self._patience.with_(lambda: self._put(path, digest), what="an output could not be stored")
        finally:
            path.unlink(missing_ok=True)
        source.unlink(missing_ok=True)
        return msgspec.structs.replace(file, sha256=other)

    async def _put(self, path: Path, digest: Digest) -> None:
        url = await self._address("PUT", digest)
        with await open_file(path) as file:
            async with await self._request("PUT", url, digest, data=file):
                pass

    # -- the store (blobs/cache.py: Source) --

    def local_path(self, digest: Digest) -> Path | None:
        return None

    async def read(self, digest: Digest) -> AsyncIterator[bytes]:
        answer = await self._request("GET", await self._address("GET", digest), digest)
        async with answer:
            size = answer.content_length
            if size is None:
                raise StoreUnavailable("the object store does not say how long an object is")
            try:
                async for chunk in held_back(answer.content.iter_chunked(CHUNK), digest, size):
                    yield chunk
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                raise StoreUnavailable(f"the object store broke off: {_brief(error)}") from error

    async def _request(self, method: Method, url: str, digest: Digest, **options: Any) -> aiohttp.ClientResponse:
        if self._http is None:
            self._http = aiohttp.ClientSession(timeout=_TIMES, trust_env=True)
        try:
            answer = await self._http.request(method, URL(url, encoded=True), **options)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise StoreUnavailable(f"the object store does not answer this machine: {_brief(error)}") from error
        if answer.status == 404:
            answer.close()
            raise BlobMissing(f"there is no blob {digest}")
        if answer.status != 200:
            text = (await answer.text())[:200]
            answer.close()
            raise StoreUnavailable(f"the object store answers {answer.status} to {method}: {text}")
        return answer

    async def _address(self, method: Method, digest: Digest) -> str:
        want = Want(next(self._numbers), method, digest)
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._asked[want.request] = (want, answer)
        self._want(want)
        try:
            url = await answer
        finally:
            del self._asked[want.request]
        if not url:
            raise StoreUnavailable("the server can sign no address for the object store")
        return url

    def _spawn(self, work: Any) -> "asyncio.Task[None]":
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("files of a job could not be carried", exc_info=error)


def _lost(order: RunJob, reason: str) -> AttemptLost:
    return AttemptLost(job_id=order.job_id, attempt=order.attempt, reason=reason)


def _is_beside_the_node(error: Exception) -> bool:
    """Whether it is the machine's fault or the store's, and not of what an engine says."""
    return isinstance(error, OSError | SafelightError) and not isinstance(error, Invalid)


def staging_of(folder: Path) -> Path:
    """Where the engine writes its outputs, in the outpost's own folder."""
    return folder / "staging"


def given_to(folder: Path) -> Path:
    """Where the engine finds the input files of its job."""
    return folder / "given"


def inputs_of(folder: Path) -> Path:
    """Where input files are kept for it."""
    return folder / "inputs"


def _copy(source: Path, handle: int, digest: Digest) -> Sha256Digest:
    """Blocks. Raises :class:`WrongDigest`."""
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


def _unless_told(error: Exception) -> Exception | None:
    """For a log: what is no surprise needs no stack."""
    return None if isinstance(error, SafelightError) else error


def _brief(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:200]
