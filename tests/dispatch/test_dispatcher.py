"""From the queue to an engine and back: one end per job, whatever happens to engines, owners and the server."""

import threading
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pysqlite3 import dbapi2
from tests.database import ANNA, BEN
from tests.dispatch.harness import GRACE_S, READY, Harness, at_once, call, done, make_harness, of, picture, running
from tests.events import report
from tests.services.files import new_file

from safelight.blobs.hashing import hash_bytes
from safelight.core import event as events
from safelight.core.asset import FileName, Folder
from safelight.core.backoff import DATABASE_RETRY
from safelight.core.engine_kind import OWN
from safelight.core.errors import NotFound
from safelight.core.event import CallFinished, CallStarted
from safelight.core.ids import ClientId, JobId
from safelight.core.job import JobError, JobState
from safelight.core.node import NodeSchema
from safelight.core.pool import QueueKey
from safelight.core.user import Quota
from safelight.core.worker import SlotId
from safelight.dispatch.backends.fake import Crash
from safelight.services import asset_access, named_files
from safelight.services import attempt as attempts
from safelight.services import job as jobs
from safelight.services import node as nodes
from safelight.services import user as users
from safelight.wire import messages as wire

pytestmark = pytest.mark.anyio

OUT = FileName(Folder.OUTPUT, "", "out_00001_.png")


async def test_a_job_runs_and_its_events_come_in_order(tmp_path: Path) -> None:
    async with running(tmp_path, script=at_once) as env:
        await env.submit(ANNA, "a", client_id=ClientId("c"))
        ended = await env.end("a")
        assert (ended.state, ended.executed, ended.client_id) == (JobState.COMPLETED, ["1", "2"], "c")
        expected = "JobQueued JobStarted CallsCached CallStarted OutputMade CallFinished JobEnded"
        assert env.of_job("a") == expected.split()
        job = await env.job(ANNA, JobId("a"))
        assert job.outputs == {"2": {"text": ["a"]}}
        assert [name for name, _ in job.messages] == ["execution_start", "execution_cached", "execution_success"]
        kinds = [type(event).__name__ for event in env.events]
        assert kinds[-1] == "QueueChanged"  # after the end, when the history can be read
        assert env.events[-1] == events.QueueChanged(ANNA.user_id, 0)


async def test_the_run_message_has_everything_that_the_engine_needs(tmp_path: Path) -> None:
    async with running(tmp_path) as env:
        cat = FileName(Folder.INPUT, "", "cat.png")
        writer = env.blobs.writer()
        await writer.write(b"meow")
        digest, _ = await writer.finish()
        await env.db.write(
            lambda tx: named_files.upload(tx, ANNA, new=new_file(cat, b"meow"), overwrite=False, now=env.clock.now())
        )
        extra = {
            "extra_pnginfo": {"workflow": {"id": 1}},
            "preview_method": "auto",
            "api_key_comfy_org": "secret",
        }
        await env.submit(ANNA, "a", extra_data=extra)
        order = await env.order("a")
        assert (order.owner_id, order.targets, order.attempt) == ("anna", ["2"], 1)
        assert (order.extra_pnginfo, order.preview_method) == ({"workflow": {"id": 1}}, "auto")
        assert order.secrets == {"api_key_comfy_org": "secret"}
        linked = env.staging.with_name("inputs") / "s0" / Path(order.staging).name / digest
        assert order.files == {"cat.png": wire.FileRef(digest, 4, "image/png", str(linked))}
        assert linked.samefile(env.blobs.local_path(digest) or ""), "no byte is copied"
        assert Path(order.files["cat.png"].path).read_bytes() == b"meow"
        assert list(Path(order.staging).iterdir()) == []


async def test_secrets_are_kept_for_a_retry_and_dropped_at_the_end(tmp_path: Path) -> None:
    async with running(tmp_path) as env:
        await env.submit(ANNA, "a", extra_data={"api_key_comfy_org": "secret"})
        first = await env.order("a")
        env.backend.crash(env.slot_of(first), "died")
        second = await env.order("a", attempt=2)
        assert second.secrets == {"api_key_comfy_org": "secret"}
        env.say(second, done(second))
        await env.end("a")
        await env.db.write(lambda tx: jobs.forget_all(tx, ANNA, at_most=9, now=env.clock.now()))
        await env.submit(ANNA, "a")
        await env.until(lambda: len(env.orders) == 3)
        assert env.orders[2].secrets == {}


async def test_outputs_are_stored_and_published_with_the_end(tmp_path: Path) -> None:
    async with running(tmp_path) as env:
        await env.submit(ANNA, "a")
        order = await env.order("a")
        env.say(order, report(CallStarted(call=call("2")), **of(order)))
        env.say(order, picture(order, "out_00001_.png"))
        env.say(order, report(CallFinished(call=call("2")), **of(order)))
        await env.until(lambda: "CallFinished" in env.of_job("a"))
        # Later messages of the engine are handled later, although the output had to wait for its commit.
        assert env.of_job("a")[-3:] == ["CallStarted", "OutputMade", "CallFinished"]
        asset = await env.db.read(lambda tx: asset_access.by_file_name(tx, ANNA, file=OUT))
        path = env.blobs.local_path(asset.digest)
        assert path is not None
        assert path.read_bytes() == b"picture"
        assert await env.db.read(lambda tx: named_files.list_files(tx, ANNA, folder=Folder.OUTPUT)) == []
        env.say(order, done(order))
        await env.end("a")
        assert len(await env.db.read(lambda tx: named_files.list_files(tx, ANNA, folder=Folder.OUTPUT))) == 1
        assert (await env.job(ANNA, JobId("a"))).summary.outputs_count == 1


@pytest.mark.parametrize(
    "lie",
    [
        {"path": "/etc/passwd", "size": Path("/etc/passwd").stat().st_size},
        {"path": "{staging}/../escaped"},
        {"path": "{staging}/link"},
        {"path": "{staging}/missing"},
        {"size": 8},
        {"digest": "0" * 64},
        {"digest": "../../x"},
        {"folder": "input"},
        {"subfolder": "../x"},
        {"filename": "a/b.png"},
    ],
    ids=str,
)
async def test_an_engine_that_lies_about_a_file_is_replaced(tmp_path: Path, lie: dict[str, Any]) -> None:
    """The job is retried once, then fails; nothing false is stored, and no file outside is touched."""
    async with running(tmp_path) as env:
        await env.submit(ANNA, "a")
        for attempt in (1, 2):
            order = await env.order("a", attempt=attempt)
            staging = Path(order.staging)
            (staging.parent / "escaped").write_bytes(b"picture")
            (staging / "link").symlink_to("/etc/hostname")
            words = {k: v.format(staging=staging) if isinstance(v, str) else v for k, v in lie.items()}
            env.say(order, picture(order, "out_00001_.png", **words))
            env.say(order, done(order))
        ended = await env.end("a")
        assert ended.state is JobState.FAILED
        assert ended.error is not None
        assert "could not be handled" in ended.error.exception_message
        with pytest.raises(NotFound):
            await env.db.read(lambda tx: asset_access.by_file_name(tx, ANNA, file=OUT))
        assert Path("/etc/passwd").exists()
        assert (staging.parent / "escaped").exists()


async def test_names_are_reserved_one_after_another(tmp_path: Path) -> None:
    async with running(tmp_path, slots=3) as env:
        there = FileName(Folder.OUTPUT, "", "out_00004_.png")
        await env.db.write(
            lambda tx: named_files.upload(tx, ANNA, new=new_file(there, b"x"), overwrite=False, now=env.clock.now())
        )

        async def reserve(order: wire.RunJob, number: int, **words: Any) -> int:
            fields = {"folder": "output", "subfolder": "", "prefix": "out", "count": 1, **words}
            env.say(order, wire.ReserveNames(**of(order), request_id=number, **fields))
            answers = env.sent(wire.NamesReserved)
            await env.until(lambda: any(a.request_id == number for a in env.sent(wire.NamesReserved)))
            assert all(a.request_id != number for a in answers)
            return next(a.first for a in env.sent(wire.NamesReserved) if a.request_id == number)

        await env.submit(ANNA, "a")
        await env.submit(ANNA, "b")
        await env.submit(BEN, "c")
        a, b, c = await env.order("a"), await env.order("b"), await env.order("c")
        assert await reserve(a, 1, count=3) == 5
        assert await reserve(c, 2) == 1  # another owner
        assert await reserve(b, 3) == 8  # while a runs and none of its files has a row
        assert await reserve(a, 4, subfolder="sub") == 1
        env.say(a, picture(a, "out_00006_.png"))
        env.say(a, done(a))
        env.say(b, done(b))
        await env.end("a")
        await env.end("b")
        await env.submit(ANNA, "d")
        assert await reserve(await env.order("d"), 5) == 7  # after the highest existing number


async def test_a_lost_worker_costs_one_retry(tmp_path: Path) -> None:
    async with running(tmp_path) as env:
        await env.submit(ANNA, "a")
        await env.submit(ANNA, "b")
        first = await env.order("a")
        env.say(first, picture(first, "out_00001_.png"))
        env.backend.crash(SlotId("s0"), "signal 9")
        second = await env.order("a", attempt=2)
        assert second.staging != first.staging
        await env.until(lambda: not Path(first.staging).exists())
        env.say(first, done(first))  # a late message of the dead engine
        env.say(second, picture(second, "out_00001_.png", b"again"))
        env.say(second, done(second))
        assert (await env.end("a")).state is JobState.COMPLETED
        assert env.of_job("a").count("JobRequeued") == 1
        job = await env.job(ANNA, JobId("a"))
        assert (job.summary.attempt, job.summary.outputs_count) == (2, 1)
        files = await env.db.read(lambda tx: named_files.list_files(tx, ANNA, folder=Folder.OUTPUT))
        assert [file.size for file in files] == [5]
        await env.order("b")  # the queue continued


async def test_the_second_loss_fails_the_job_with_the_reason(tmp_path: Path) -> None:
    def dies(message: wire.ToEngine) -> Iterable[wire.ToServer | Crash]:
        if isinstance(message, wire.RunJob) and message.job_id == "poison":
            yield Crash("signal 11")
        else:
            yield from at_once(message)

    async with running(tmp_path, script=dies) as env:
        await env.submit(ANNA, "poison")
        await env.submit(ANNA, "b")
        ended = await env.end("poison")
        assert ended.state is JobState.FAILED
        assert ended.error is not None
        assert ended.error.exception_message == "signal 11 (attempt 2 of 2)"
        assert (await env.end("b")).state is JobState.COMPLETED


async def test_an_exception_in_a_node_does_not_count_as_a_loss(tmp_path: Path) -> None:
    async with running(tmp_path) as env:
        await env.submit(ANNA, "a")
        order = await env.order("a")
        error = JobError("ValueError", "bad", "1", "Load", ["line"], {"x": 1}, ["2"], ["5"])
        env.say(order, done(order, JobState.FAILED, error=error))
        assert (await env.end("a")).error == error
        assert (await env.job(ANNA, JobId("a"))).summary.error == error
        assert len(env.orders) == 1


async def test_cancel_is_soft_first(tmp_path: Path) -> None:
    async with running(tmp_path) as env:
        await env.submit(ANNA, "a")
        order = await env.order("a")
        env.say(order, report(CallStarted(call=call("1")), **of(order)))
        await env.cancel(ANNA, JobId("a"))
        await env.until(lambda: env.sent(wire.CancelJob) == [wire.CancelJob(**of(order))])
        env.say(order, done(order, JobState.CANCELLED))
        ended = await env.end("a")
        assert ended.state is JobState.CANCELLED
        assert ended.error is not None
        assert (ended.error.node_id, ended.error.node_type) == ("1", "Load")
        env.clock.pass_s(GRACE_S * 2)
        await env.submit(ANNA, "b")
        await env.order("b")
        await env.settle()
        assert env.of_job("b") == ["JobQueued", "JobStarted"]  # the late timer did not affect the next job


async def test_a_job_that_does_not_stop_is_killed_after_the_grace(tmp_path: Path) -> None:
    async with running(tmp_path, slots=2) as env:
        await env.submit(ANNA, "a")
        await env.submit(BEN, "b")
        order, other = await env.order("a"), await env.order("b")
        env.say(order, report(CallStarted(call=call("1")), **of(order)))
        await env.cancel(ANNA, JobId("a"))
        await env.clock.until_asleep(1)
        env.clock.pass_s(GRACE_S - 0.1)
        await env.settle()
        assert "JobEnded" not in env.of_job("a")
        env.clock.pass_s(0.2)
        ended = await env.end("a")
        assert (ended.state, ended.error and ended.error.node_id) == (JobState.CANCELLED, "1")
        env.say(other, done(other))
        assert (await env.end("b")).state is JobState.COMPLETED


async def claimed_by_a_dead_slot(env: Harness) -> None:
    """Job a is claimed at the moment when the engine of its slot dies, and no other is ready yet."""
    await env.submit(ANNA, "first")
    await env.submit(ANNA, "a")
    order = await env.order("first")
    gate = threading.Event()
    env.db.enqueue(lambda tx: gate.wait(20))
    listener = env.dispatcher.listener
    listener.engine_message(SlotId("s0"), done(order))  # the finish and the claim behind it wait for the gate
    listener.engine_lost(SlotId("s0"), "died")
    gate.set()
    await env.until(lambda: "JobStarted" in env.of_job("a"))


async def test_a_job_waits_on_its_slot_for_the_next_engine(tmp_path: Path) -> None:
    async with running(tmp_path) as env:
        await claimed_by_a_dead_slot(env)
        assert [order.job_id for order in env.orders] == ["first"]
        env.dispatcher.listener.engine_ready(SlotId("s0"), READY)
        assert (await env.order("a")).attempt == 1
        await env.end("first")


async def test_cancel_of_a_job_that_no_engine_has_yet(tmp_path: Path) -> None:
    """There is no engine to stop, and so no grace period."""
    async with running(tmp_path) as env:
        await claimed_by_a_dead_slot(env)
        await env.cancel(ANNA, JobId("a"))
        assert (await env.end("a")).state is JobState.CANCELLED
        env.dispatcher.listener.engine_ready(SlotId("s0"), READY)
        await env.submit(ANNA, "b")
        await env.order("b")
        assert [order.job_id for order in env.orders] == ["first", "b"]


async def test_a_finish_that_arrives_before_the_cancel_wins(tmp_path: Path) -> None:
    async with running(tmp_path) as env:
        await env.submit(ANNA, "a")
        order = await env.order("a")
        env.say(order, done(order))
        await env.cancel(ANNA, JobId("a"))
        ended = await env.end("a")
        job = await env.job(ANNA, JobId("a"))
        assert ended.state is job.summary.state is JobState.COMPLETED


async def test_waiting_jobs_are_cancelled_where_they_wait(tmp_path: Path) -> None:
    async with running(tmp_path) as env:
        await env.submit(ANNA, "a")
        await env.submit(ANNA, "b")
        order = await env.order("a")
        await env.cancel(ANNA, JobId("b"))
        assert (await env.end("b")).state is JobState.CANCELLED
        env.say(order, done(order))
        await env.end("a")
        await env.submit(ANNA, "c")
        await env.order("c")
        assert [o.job_id for o in env.orders] == ["a", "c"]


async def test_messages_of_another_attempt_are_ignored(tmp_path: Path) -> None:
    async with running(tmp_path) as env:
        await env.submit(ANNA, "a")
        order = await env.order("a")
        for words in ({"job_id": "a", "attempt": 2}, {"job_id": "a", "attempt": 0}, {"job_id": "b", "attempt": 1}):
            env.say(order, report(CallStarted(call=call("1")), **words))
            env.say(order, wire.JobDone(**words, outcome=JobState.COMPLETED))
        env.say(order, done(order))
        await env.end("a")
        assert env.of_job("a") == ["JobQueued", "JobStarted", "JobEnded"]


async def test_users_take_turns(tmp_path: Path) -> None:
    async with running(tmp_path) as env:
        for n in range(4):
            await env.submit(ANNA, f"anna{n}")
        order = await env.order("anna0")
        for n in range(2):
            await env.submit(BEN, f"ben{n}")
        for name in ("ben0", "anna1", "ben1", "anna2", "anna3"):
            env.clock.pass_s(10)
            env.say(order, done(order))
            order = await env.order(name)


async def test_every_slot_has_a_job_of_its_own(tmp_path: Path) -> None:
    async with running(tmp_path, slots=3) as env:
        for n in range(4):
            await env.submit(ANNA, str(n))
        await env.until(lambda: len(env.orders) == 3)
        assert len({env.slot_of(order) for order in env.orders}) == 3
        first = env.orders[0]
        env.say(first, done(first))
        assert env.slot_of(await env.order("3")) == env.slot_of(first)


async def test_a_restart_runs_running_and_queued_jobs_again(tmp_path: Path) -> None:
    """The server was killed: rows say that jobs run, but no engine runs them."""
    async with make_harness(tmp_path) as env:
        for name in ("a", "b"):
            await env.submit(ANNA, name)
        await env.db.write(lambda tx: attempts.claim_next(tx, keys=[QueueKey(ANNA.user_id)], now=env.clock.now()))
        env.staging.mkdir()
        (env.staging / "left").write_bytes(b"x")
        await env.dispatcher.start()
        order = await env.order("a", attempt=2)
        assert not (env.staging / "left").exists()
        env.say(order, done(order))
        await env.order("b")
        await env.dispatcher.stop()


async def test_an_orderly_stop_requeues_jobs(tmp_path: Path) -> None:
    async with make_harness(tmp_path) as env:
        await env.dispatcher.start()
        await env.submit(ANNA, "a")
        await env.submit(ANNA, "b")
        await env.order("a")
        await env.dispatcher.stop()
        assert (await env.job(ANNA, JobId("a"))).summary.state is JobState.QUEUED
        again = env.new_dispatcher()
        await again.start()
        order = await env.order("a", attempt=2)
        env.say(order, done(order))
        assert (await env.end("a")).state is JobState.COMPLETED
        await again.stop()


@asynccontextmanager
async def database_away(env: Harness, folder: Path) -> AsyncIterator[None]:
    """Another process holds the write lock of the database, and the server does not wait for it."""
    await env.db.write(lambda tx: tx.conn.exec_driver_sql("PRAGMA busy_timeout=0").all())
    other = dbapi2.connect(folder / "test.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()


async def test_the_end_of_a_job_is_stored_although_the_database_was_unreachable(tmp_path: Path) -> None:
    async with running(tmp_path) as env:
        await env.submit(ANNA, "a")
        order = await env.order("a")
        async with database_away(env, tmp_path):
            env.say(order, done(order))
            for _ in range(3):
                await env.clock.until_asleep(1)
                env.clock.pass_s(DATABASE_RETRY.backoff.longest_s)
            await env.clock.until_asleep(1)
            assert "JobEnded" not in env.of_job("a")
        env.clock.pass_s(DATABASE_RETRY.backoff.longest_s)
        assert (await env.end("a")).state is JobState.COMPLETED


async def test_jobs_are_claimed_when_the_database_is_back(tmp_path: Path) -> None:
    async with running(tmp_path) as env:
        await env.submit(ANNA, "a")
        order = await env.order("a")
        await env.submit(ANNA, "b")
        async with database_away(env, tmp_path):
            env.say(order, done(order))
            await env.clock.until_asleep(2)  # the end of a, and the claim of b
        env.clock.pass_s(DATABASE_RETRY.backoff.longest_s)
        await env.end("a")
        await env.order("b")


async def test_an_end_that_cannot_be_stored_still_frees_the_slot(tmp_path: Path) -> None:
    async with running(tmp_path) as env:
        await env.submit(ANNA, "a")
        for attempt in (1, 2):
            order = await env.order("a", attempt=attempt)
            error = JobError("ValueError", "bad", current_inputs={"x": object()})
            env.say(order, done(order, JobState.FAILED, error=error))
        ended = await env.end("a")
        assert ended.state is JobState.FAILED
        assert ended.error is not None
        assert "cannot be stored" in ended.error.exception_message


async def test_a_catalogue_is_stored_and_published(tmp_path: Path) -> None:
    node = NodeSchema(name="Blur", display_name="Blur", category="image", inputs=(), outputs=())
    ready = wire.Ready(info=READY.info, nodes=[node])
    async with running(tmp_path, ready=ready, slots=2) as env:
        await env.until(lambda: len(env.ready) == 2)
        assert len(set(env.ready)) == 1
        await env.settle()
        assert (await env.db.read(nodes.load_latest))[OWN].nodes == [node]
        assert [info.pid for info in env.dispatcher.access.engines()] == [7, 7]
        env.dispatcher.access.free(owner_id=None, unload_models=True, free_memory=False)
        assert env.sent(wire.FreeMemory) == [wire.FreeMemory(unload_models=True)] * 2


async def test_an_owner_receives_only_the_log_of_their_own_job(tmp_path: Path) -> None:
    async with running(tmp_path) as env:
        await env.submit(ANNA, "a")
        order = await env.order("a")
        for job_id in ("a", "other", None):
            env.say(order, wire.LogLines(lines=[(0, f"of {job_id}")], job_id=job_id))
        await env.until(lambda: sum(isinstance(e, events.LogWritten) for e in env.events) == 3)
        received = [(e.owner_id, e.entries[0][1]) for e in env.events if isinstance(e, events.LogWritten)]
        assert received == [("anna", "of a"), (None, "of other"), (None, "of None")]


async def test_a_user_at_their_concurrency_limit_waits_for_a_job_of_their_own(tmp_path: Path) -> None:
    async with running(tmp_path, slots=2) as env:
        account = await env.db.write(lambda tx: users.add(tx, name="carol", is_admin=False, now=env.clock.now()))
        await env.db.write(lambda tx: users.set_quota(tx, name="carol", quota=Quota(running_jobs=1)))
        carol = account.principal
        await env.submit(carol, "c1")
        first = await env.order("c1")
        await env.submit(carol, "c2")
        await env.submit(BEN, "b1")
        await env.order("b1")
        assert [order.job_id for order in env.orders] == ["c1", "b1"]
        env.say(first, done(first))
        await env.order("c2")
        await env.end("c1")


async def test_an_engine_learns_which_files_its_owner_has_deleted(tmp_path: Path) -> None:
    """Only the owner's own files count: not another user's of the same name, and not other bytes under that name."""
    async with running(tmp_path) as env:
        now = env.clock.now()
        kept, other = (FileName(Folder.OUTPUT, "sub", f"{name}_00001_.png") for name in ("kept", "other"))
        for who, name, data in ((ANNA, kept, b"kept"), (ANNA, other, b"new bytes"), (BEN, OUT, b"ben's")):
            new = new_file(name, data)
            await env.db.write(
                lambda tx, who=who, new=new: named_files.upload(tx, who, new=new, overwrite=False, now=now)  # type: ignore[misc]
            )
        await env.submit(ANNA, "a")
        order = await env.order("a")
        asked = [
            wire.KeptFile("output", "sub", "kept_00001_.png", hash_bytes(b"kept")),
            wire.KeptFile("output", "sub", "other_00001_.png", hash_bytes(b"old bytes")),
            wire.KeptFile("output", "", "out_00001_.png", hash_bytes(b"ben's")),
            wire.KeptFile("temp", "sub", "kept_00001_.png", hash_bytes(b"kept")),
        ]
        env.say(order, wire.CheckFiles(**of(order), request_id=4, files=asked))
        await env.until(lambda: bool(env.sent(wire.FilesChecked)))
        assert env.sent(wire.FilesChecked) == [wire.FilesChecked(request_id=4, gone=[1, 2, 3])]


async def test_a_user_frees_the_memory_of_workers_that_ran_their_job_last(tmp_path: Path) -> None:
    """The models of other users stay loaded."""
    async with running(tmp_path, slots=2) as env:
        await env.submit(ANNA, "a")
        order = await env.order("a")
        used = next(slot for slot, sent in env.backend.sent if sent is order)
        env.dispatcher.access.free(owner_id=BEN.user_id, unload_models=True, free_memory=True)
        assert env.sent(wire.FreeMemory) == []
        env.dispatcher.access.free(owner_id=ANNA.user_id, unload_models=True, free_memory=True)
        assert [slot for slot, sent in env.backend.sent if isinstance(sent, wire.FreeMemory)] == [used]
