"""An engine's machine that transfers files itself: a real engine, a real S3 store, and URLs that a server signs."""

import asyncio
import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.dispatch.engines import SLOT, TIMEOUT_S, engine_config, node
from tests.seaweedfs import SeaweedFS

from safelight.blobs.hashing import hash_bytes
from safelight.blobs.object import ObjectBlobStore
from safelight.blobs.store import STORE_RETRY
from safelight.core.digest import Digest
from safelight.core.job import JobState
from safelight.dispatch.backends.agent import SlotAgent
from safelight.dispatch.backends.agent_messages import (
    Attached,
    Command,
    EngineLost,
    Entry,
    Envelope,
    Kill,
    PresignRequest,
    PresignResponse,
    Send,
    SlotSpec,
    Token,
)
from safelight.dispatch.files import transfer
from safelight.wire.codec import Decoder, encode
from safelight.wire.messages import (
    AttemptLost,
    CancelJob,
    FileRef,
    InputsValidated,
    JobDone,
    NamesReserved,
    OutputReady,
    Ready,
    ReserveNames,
    RunJob,
    ToServer,
    ValidateInputs,
)
from safelight.wire.protocol import PROTOCOL

pytestmark = pytest.mark.anyio

TEXT = "a text from far away"


@dataclass
class Server:
    """Signs URLs, reserves numbers, and records the messages received. Mutable."""

    agent: SlotAgent
    store: ObjectBlobStore
    scratch: Path
    token: Token = (1, 1)
    after: int = 0
    received: list[ToServer | EngineLost] = field(default_factory=list)
    wanted: list[PresignRequest] = field(default_factory=list)
    signs: bool = True
    generation: int = 0
    seen: int = 0

    async def attach(self, **changes: Any) -> Attached:
        spec = SlotSpec(config=engine_config(slot=SLOT), scratch=str(self.scratch), scratch_bytes=10**9, **changes)
        answer = await self.agent.attach(self.token, PROTOCOL, msgspec.msgpack.encode(spec), reattach=True)
        attached = msgspec.msgpack.decode(answer, type=Attached)
        self.after, self.generation = attached.number, attached.generation
        return attached

    async def until(self, kind: type[Any], *, matching: Callable[[Any], bool] = lambda word: True) -> Any:
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                while self.seen < len(self.received):
                    word = self.received[self.seen]
                    self.seen += 1
                    if isinstance(word, kind) and matching(word):
                        return word
                await self.poll()

    async def poll(self) -> None:
        answer = await self.agent.poll(self.token, self.after)
        assert answer is not None
        for entry in Decoder[Entry](Entry).feed(answer):
            self.after = entry.number
            match entry:
                case Envelope(message=message):
                    self.received.append(message)
                    if isinstance(message, ReserveNames):
                        await self.send(NamesReserved(request_id=message.request_id, first=1))
                case EngineLost():
                    self.generation += 1
                    self.received.append(entry)
                case PresignRequest():
                    self.wanted.append(entry)
                    if self.signs:
                        await self.sign(entry)

    async def until_wanted(self, count: int) -> None:
        """Wait until that many URLs were requested."""
        async with asyncio.timeout(TIMEOUT_S):
            while len(self.wanted) < count:
                await self.poll()

    async def sign(self, wanted: PresignRequest, *, expires_s: int = 60) -> None:
        url = await self.store.sign_transfer(wanted.method, Digest(wanted.digest), expires_s=expires_s)
        await self.command(PresignResponse(request_id=wanted.request_id, url=url or ""))

    async def send(self, message: Any) -> None:
        await self.command(Send(generation=self.generation, message=message))

    async def command(self, order: Command) -> None:
        assert await self.agent.command(self.token, encode([order]))

    def folder(self, name: str) -> list[Path]:
        """The files in the slot's folders of that name, of all its agents."""
        return sorted(path for path in (self.scratch / SLOT).glob(f"*/{name}/**/*") if path.is_file())


@asynccontextmanager
async def serving(s3: SeaweedFS, folder: Path, **options: Any) -> AsyncIterator[Server]:
    store = ObjectBlobStore(s3.store_config(f"tests/{uuid.uuid4().hex}", folder=folder))
    agent = SlotAgent(os.environ, end=lambda: None, **options)
    yield Server(agent, store, folder / "scratch")
    await agent.shutdown(agent._token)


@pytest.fixture
async def server(s3: SeaweedFS, tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(s3, tmp_path) as server:
        yield server


@pytest.fixture
async def impatient(s3: SeaweedFS, tmp_path: Path) -> AsyncIterator[Server]:
    """A server whose agent does not wait for a store that is unreachable."""
    async with serving(s3, tmp_path, store_retry=replace(STORE_RETRY, limit_s=0.0)) as server:
        yield server


async def stored(store: ObjectBlobStore, data: bytes) -> FileRef:
    writer = store.writer()
    await writer.write(data)
    digest, size = await writer.finish()
    return FileRef(digest, size, "text/plain", "")


async def read(store: ObjectBlobStore, digest: str) -> bytes:
    return b"".join([chunk async for chunk in store.read(Digest(digest))])


def job(prompt: dict[str, Any], job_id: str = "j", **files: FileRef) -> RunJob:
    return RunJob(
        job_id=job_id,
        attempt=1,
        owner_id="u",
        prompt=prompt,
        targets=[list(prompt)[-1]],
        staging="",
        files={name.replace("_", "."): file for name, file in files.items()},
    )


READING = {"1": node("Deed", what="read_input")}
SAVING = {"1": node("Save", text="made here", prefix="a")}


async def test_files_are_fetched_from_the_store_and_stored_there(server: Server) -> None:
    """Inputs are fetched once; outputs are stored when they are reported; nothing is left behind."""
    await server.attach()
    await server.until(Ready)
    await server.send(job(READING, a_txt=await stored(server.store, TEXT.encode())))
    assert (await server.until(JobDone)).outcome is JobState.COMPLETED
    printed = [line for word in server.received for _, line in getattr(word, "lines", ())]
    assert TEXT in printed
    await server.send(job(READING, "again", a_txt=await stored(server.store, TEXT.encode())))
    await server.until(JobDone)
    assert [wanted.method for wanted in server.wanted] == ["GET"]
    assert [path.read_text() for path in server.folder("inputs")] == [TEXT]

    await server.send(job(SAVING, "made"))
    output = await server.until(OutputReady)
    assert [file.filename for file in output.files] == ["a_00001_.txt", "a_00002_.txt"]
    for n, file in enumerate(output.files):
        assert await read(server.store, file.digest) == f"made here {n}".encode()
        assert file.sha256 == sha256(f"made here {n}".encode()).hexdigest()
        await server.store.confirm(Digest(file.digest), size=file.size)
    await server.until(JobDone)
    await _until(lambda: not server.folder("staging") and not server.folder("outgoing"))


async def test_messages_wait_for_the_files_they_report(server: Server) -> None:
    """In the engine's order, however long a URL takes. An engine lost after its job loses none of the messages."""
    await server.attach()
    await server.until(Ready)
    server.signs = False
    await server.send(job(SAVING))
    await server.until_wanted(2)
    assert not [word for word in server.received if isinstance(word, OutputReady | JobDone)]
    for _ in range(3):  # the engine sent the rest long ago
        await asyncio.sleep(0.05)
    await server.command(Kill(generation=0, reason="enough"))
    for wanted in server.wanted:
        await server.sign(wanted)
    await server.until(Ready)
    kinds = [
        type(word).__name__ for word in server.received if isinstance(word, OutputReady | JobDone | EngineLost | Ready)
    ]
    assert kinds == ["Ready", "OutputReady", "JobDone", "EngineLost", "Ready"]
    await server.send(job(READING, "next", a_txt=await stored(server.store, TEXT.encode())))
    server.signs = True
    assert (await server.until(JobDone)).job_id == "next"


async def test_a_job_whose_files_are_being_fetched_can_be_cancelled(server: Server) -> None:
    await server.attach()
    await server.until(Ready)
    server.signs = False
    await server.send(job(READING, a_txt=await stored(server.store, TEXT.encode())))
    await server.until_wanted(1)
    await server.send(CancelJob(job_id="j", attempt=1))
    done = await server.until(JobDone)
    assert (done.job_id, done.outcome) == ("j", JobState.CANCELLED)
    server.signs = True
    await server.send(job(SAVING, "next"))
    assert (await server.until(JobDone)).outcome is JobState.COMPLETED


async def test_a_missing_input_file_is_reported_by_the_node(server: Server) -> None:
    await server.attach()
    await server.until(Ready)
    await server.send(job(READING, a_txt=FileRef(hash_bytes(b"never stored"), 12, "text/plain", "")))
    done = await server.until(JobDone)
    assert done.outcome is JobState.FAILED
    assert "a.txt" in done.error.exception_message


async def test_a_store_that_is_unreachable_for_too_long_loses_the_attempt(impatient: Server) -> None:
    """Its engine is reported lost after it, so the next job goes to another engine."""
    server = impatient
    file = await stored(server.store, TEXT.encode())
    await server.attach()
    await server.until(Ready)
    server.signs = False
    await server.send(job(READING, a_txt=file))
    await server.until_wanted(1)
    await server.command(PresignResponse(request_id=server.wanted[0].request_id, url="http://127.0.0.1:9/nobody"))
    lost_attempt = await server.until(AttemptLost)
    assert (lost_attempt.job_id, lost_attempt.attempt) == ("j", 1)
    assert "does not answer this machine" in lost_attempt.reason
    assert "does not answer this machine" in (await server.until(EngineLost)).reason
    await server.until(Ready)

    await server.send(job(SAVING, "made"))
    await server.until_wanted(3)
    for wanted in server.wanted[1:]:
        await server.command(PresignResponse(request_id=wanted.request_id, url=""))
    lost_attempt = await server.until(AttemptLost)
    assert (lost_attempt.job_id, "can presign no URL" in lost_attempt.reason) == ("made", True)
    assert "can presign no URL" in (await server.until(EngineLost)).reason
    assert not [word for word in server.received if isinstance(word, JobDone) and word.job_id == "made"]
    await server.until(Ready)


async def test_an_output_that_cannot_be_stored_does_not_cost_another_engine(impatient: Server) -> None:
    """The job's own engine has ended by then; the job has no end, and is lost with it."""
    server = impatient
    await server.attach()
    await server.until(Ready)
    server.signs = False
    await server.send(job(SAVING))
    await server.until_wanted(2)
    words = server.agent._host._messages  # type: ignore[union-attr]
    await _until(lambda: any(isinstance(word, JobDone) for word in words))
    await server.command(Kill(generation=0, reason="enough"))
    await _until(lambda: any(isinstance(word, Ready) for word in words))
    for wanted in server.wanted:
        await server.command(PresignResponse(request_id=wanted.request_id, url=""))
    assert (await server.until(EngineLost)).reason == "enough"
    await server.until(Ready)
    server.signs = True
    await server.send(job(SAVING, "next"))
    assert (await server.until(JobDone)).job_id == "next"
    assert server.generation == 1


async def test_damaged_files_never_reach_an_engine(server: Server) -> None:
    file = await stored(server.store, TEXT.encode())
    wrong = FileRef(hash_bytes(b"other bytes"), file.size, "text/plain", "")
    await server.attach()
    await server.until(Ready)
    server.signs = False
    await server.send(job(READING, a_txt=wrong))
    await server.until_wanted(1)
    url = await server.store.sign_transfer("GET", Digest(file.digest), expires_s=60)  # a URL of another blob
    await server.command(PresignResponse(request_id=server.wanted[0].request_id, url=url or ""))
    assert "damaged" in (await server.until(AttemptLost)).reason
    assert server.folder("inputs") == []


async def test_a_deleted_folder_loses_the_attempt_and_is_created_again(server: Server) -> None:
    """The engine is replaced as well: its rules let it write to the old folder only."""
    await server.attach()
    await server.until(Ready)
    for staging in (server.scratch / SLOT).glob("*/staging"):
        shutil.rmtree(staging)
    await server.send(job(SAVING, "lost"))
    assert (await server.until(AttemptLost)).job_id == "lost"
    await server.until(EngineLost)
    await server.until(Ready)
    await server.send(job(SAVING, "next"))
    assert (await server.until(JobDone)).outcome is JobState.COMPLETED


async def test_deleting_the_folder_of_a_working_engine_loses_the_attempt(server: Server, tmp_path: Path) -> None:
    await server.attach()
    await server.until(Ready)
    go = tmp_path / "go"
    await server.send(job({"1": node("Await", path=str(go))}))
    await server.until(ReserveNames)
    for staging in (server.scratch / SLOT).glob("*/staging"):
        staging.rename(tmp_path / "elsewhere")
        staging.touch()
    go.touch()
    lost = await server.until(AttemptLost)
    assert "the folder for the job's files" in lost.reason or "could not be stored" in lost.reason


async def test_an_agent_that_ends_keeps_the_folders_of_its_successor(server: Server) -> None:
    """An actor whose server was killed exits long after another was started for its slot."""
    old, new = server, Server(SlotAgent(os.environ, end=lambda: None), server.store, server.scratch)
    await old.attach(slot_dirs=str(server.scratch / "workers"))
    await old.until(Ready)
    await new.attach(slot_dirs=str(server.scratch / "workers"))
    try:
        await new.until(Ready)
        before = set((server.scratch / SLOT).glob("*/staging"))
        assert len(before) == 2
        await old.agent.shutdown(old.token)
        assert len(set((server.scratch / SLOT).glob("*/staging"))) == 1
        assert new.agent._temp is not None
        assert new.agent._temp.path.is_dir()
        await new.send(job(SAVING, "mine"))
        assert (await new.until(JobDone)).outcome is JobState.COMPLETED
        await new.send(job(READING, "reads", a_txt=await stored(server.store, TEXT.encode())))
        assert (await new.until(JobDone)).outcome is JobState.COMPLETED
    finally:
        await new.agent.shutdown(new.token)


async def test_a_false_report_of_an_engine_is_not_stored(tmp_path: Path) -> None:
    """An engine runs untrusted code: files must match their report, and lie inside its folder."""
    source = tmp_path / "made.bin"
    source.write_bytes(b"made")
    handle, _ = tempfile.mkstemp(dir=tmp_path)
    with pytest.raises(transfer.WrongDigest):
        transfer._copy(source, handle, hash_bytes(b"something else"))
    link = tmp_path / "link"
    link.symlink_to(source)
    handle, _ = tempfile.mkstemp(dir=tmp_path)
    with pytest.raises(OSError):
        transfer._copy(link, handle, hash_bytes(b"made"))


async def test_a_validation_gets_its_files_too(server: Server) -> None:
    await server.attach()
    await server.until(Ready)
    file = await stored(server.store, TEXT.encode())
    await server.send(ValidateInputs(request_id=5, owner_id="u", prompt=READING, targets=["1"], files={"a.txt": file}))
    assert (await server.until(InputsValidated)).request_id == 5
    assert len(server.wanted) == 1
    gone = FileRef(hash_bytes(b"gone"), 4, "text/plain", "")
    server.signs = False
    await server.send(ValidateInputs(request_id=6, owner_id="u", prompt=READING, targets=["1"], files={"a.txt": gone}))
    await server.until_wanted(2)
    await server.command(PresignResponse(request_id=server.wanted[1].request_id, url=""))
    assert (await server.until(InputsValidated)).request_id == 6


async def test_the_next_server_signs_pending_requests(server: Server, tmp_path: Path) -> None:
    go = tmp_path / "go"
    await server.attach()
    await server.until(Ready)
    await server.send(job({"1": node("Await", path=str(go))}))
    go.touch()
    server.signs = False
    await server.until_wanted(1)
    await server.poll()  # acknowledges the request

    later = Server(server.agent, server.store, server.scratch, token=(2, 1))
    attached = await later.attach()
    assert attached.journal is not None
    output = await later.until(OutputReady)
    assert await read(server.store, output.files[0].digest) in (b"before", b"after")
    assert (await later.until(JobDone)).outcome is JobState.COMPLETED
    await later.until(EngineLost)
    await later.until(Ready)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110 - the condition changes in a thread
            await asyncio.sleep(0.02)
