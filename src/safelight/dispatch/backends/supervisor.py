"""Keeps an engine running on one slot: starts it, exchanges messages with it, detects its death, starts the next.

States of a slot: *starting* (a process without a first message) -> *ready* (gets messages, may run a job) -> *dying*
(killed or dead, its last messages still on their way) -> *lost* (reported to the listener) -> after a pause *starting*.

* A process that the system reports dead is lost immediately. Silence alone ends no job: a node may hold Python's lock
  for minutes, and the owner can cancel. An engine that is unresponsive for the lease, and *idle* or *stopped* (by a
  signal), does nothing and is killed.
* The engine ends itself when it receives nothing for the lease (self-fence), so that an engine that cannot be reached,
  and was replaced, stops working.
* Engines that die before they have finished a job are started again after a growing pause.
* Where the slot has a spare engine (``spare.py``), it takes the place of one that is lost, and another spare starts.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from safelight.core.backoff import Backoff
from safelight.core.worker import SlotId
from safelight.dispatch.backend import EngineListener
from safelight.dispatch.backends.process import EngineProcess, OutputLines
from safelight.dispatch.backends.spare import WaitingListener
from safelight.wire.config import EngineConfig
from safelight.wire.connection import Connection
from safelight.wire.messages import JobDone, LogLines, Ping, Ready, RunJob, ToEngine, ToServer

log = logging.getLogger(__name__)

START_LIMIT_S = 300.0
"""Time for an engine to import torch and its node packs, before it counts as hung."""
BACKOFF = Backoff(first_s=0.5, longest_s=30.0)
_PINGS_PER_LEASE = 5
_DRAIN_S = 0.25
"""How long the pipes may stay open after the death of the process group: a child may have left it with them."""
_CLOSED_PIPE_S = 2.0
"""Time for an engine that has closed its pipe to end."""


@dataclass(frozen=True, slots=True)
class EnginePlace:
    """What an engine is started with, and what is its own there. ``prepare`` is called before each start, in a
    thread."""

    config: EngineConfig
    environment: Mapping[str, str]
    prepare: Callable[[], None] = lambda: None


@dataclass(slots=True, eq=False)
class _Start:
    """An engine that has been started. ``waiting``: its listener while it is a spare."""

    engine: "_Engine"
    life: "asyncio.Task[None]"
    place: EnginePlace
    waiting: WaitingListener | None = None


class Supervisor:
    """The :class:`~safelight.dispatch.backend.EngineHost` of a process on this machine.

    Mutable: the current engine, the spare beside it, and whether one is wanted. All calls and callbacks are on one
    event loop.
    """

    def __init__(
        self,
        slot: SlotId,
        *,
        command: Sequence[str],
        place: EnginePlace,
        spare_place: EnginePlace | None = None,
        rss_limit_bytes: int = 0,
    ) -> None:
        """``spare_place``: where a spare engine waits (``spare.py``); the two places change roles with each loss."""
        self.slot = slot
        self._command = command
        self._places = [place] if spare_place is None else [place, spare_place]
        self._rss_limit_bytes = rss_limit_bytes
        self._current: _Start | None = None
        self._spare: _Start | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_wanted = asyncio.Event()
        self._is_wanted.set()

    def start(self, listener: EngineListener) -> None:
        """Start the first engine. From now on an engine runs or is about to start, unless the slot is drained."""
        self._task = asyncio.get_running_loop().create_task(self._keep_alive(listener))

    def send(self, message: ToEngine) -> None:
        if self._current is not None:
            self._current.engine.send(message)

    def kill(self, reason: str) -> None:
        if self._current is not None:
            self._current.engine.kill(reason)

    def drain(self, reason: str) -> None:
        """End the engines and start no other before :meth:`resume`."""
        self._is_wanted.clear()
        for start in (self._current, self._spare):
            if start is not None:
                start.engine.kill(reason, is_expected=True)

    def resume(self) -> None:
        self._is_wanted.set()

    async def stop(self) -> None:
        """End the engines and start no other. The listener is not called."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _keep_alive(self, listener: EngineListener) -> None:
        failures, current = 0, None
        try:
            while True:
                await self._is_wanted.wait()
                place = self._places[0] if current is None else current.place
                current = await self._take_spare(listener) or await self._begin(place, listener)
                self._current = current
                keeping = asyncio.create_task(self._keep_spare(current)) if len(self._places) > 1 else None
                try:
                    await asyncio.shield(current.life)
                finally:
                    self._current = None
                    if keeping is not None:
                        keeping.cancel()
                        await asyncio.gather(keeping, return_exceptions=True)
                engine = current.engine
                failures = 0 if engine.has_worked or engine.was_killed else failures + 1
                await asyncio.sleep(pause_s(failures))
        finally:
            lives = [start.life for start in (current, self._spare) if start is not None]
            for life in lives:
                life.cancel()
            await asyncio.gather(*lives, return_exceptions=True)

    async def _begin(self, place: EnginePlace, listener: EngineListener) -> _Start:
        await asyncio.to_thread(place.prepare)
        engine = _Engine(self.slot, listener, place.config, self._rss_limit_bytes)
        return _Start(engine, asyncio.create_task(engine.live(self._command, place.environment)), place)

    # -- the spare --

    async def _take_spare(self, listener: EngineListener) -> _Start | None:
        """The spare as the slot's engine; ``None`` if there is none that lives."""
        spare, self._spare = self._spare, None
        if spare is None or spare.waiting is None:
            return None
        if spare.waiting.is_lost or spare.engine.was_killed or spare.life.done():
            await asyncio.wait([spare.life])  # its place is free for the next one
            return None
        spare.engine.hand_over(listener)
        spare.waiting.pass_on(self.slot, listener)
        return spare

    async def _keep_spare(self, current: _Start) -> None:
        """Once the slot's engine is ready, start a spare in the other place; another one if it dies."""
        place = next(place for place in self._places if place is not current.place)
        failures = 0
        await current.engine.ready.wait()
        while self._spare is None:
            waiting = WaitingListener()
            spare = await self._begin(place, waiting)
            spare.waiting = waiting
            self._spare = spare
            await asyncio.wait([spare.life])
            self._spare = None
            failures += 1
            await asyncio.sleep(BACKOFF.pause_s(failures))


def pause_s(failures: int) -> float:
    """The pause before the next start, after ``failures`` engines in a row died without having finished a job.

    A single death may be the fault of a job, which its next attempt shows; so only the second one causes a pause.
    """
    return BACKOFF.pause_s(failures - 1)


class _Engine:
    """One engine from its spawn to its end."""

    def __init__(self, slot: SlotId, listener: EngineListener, config: EngineConfig, rss_limit_bytes: int) -> None:
        self._slot = slot
        self._listener: EngineListener | None = listener
        self._config = config
        self._rss_limit_bytes = rss_limit_bytes
        self._process: EngineProcess | None = None
        self._connection: Connection | None = None
        self._reason: str | None = None
        self._is_expected = False
        self._exit: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._pipe_ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ready = asyncio.Event()
        self._job: RunJob | None = None
        self._last_seen = time.monotonic()
        self.has_worked = False

    @property
    def was_killed(self) -> bool:
        return self._reason is not None

    def send(self, message: ToEngine) -> None:
        if not self.ready.is_set() or self._reason is not None or self._connection is None:
            return
        if isinstance(message, RunJob):
            self._job = message
        self._connection.send(message)

    def hand_over(self, listener: EngineListener) -> None:
        """Report to another listener from now on."""
        if self._listener is not None:
            self._listener = listener

    def kill(self, reason: str, *, is_expected: bool = False) -> None:
        """``is_expected``: nothing is wrong with the engine."""
        if self._reason is None:
            self._reason, self._is_expected = reason, is_expected
        if self._process is not None:
            self._process.kill()

    async def live(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Run the engine to its end, and report that to the listener. If cancelled, kill the process and report
        nothing."""
        loop = asyncio.get_running_loop()
        try:
            process = EngineProcess.spawn(
                command, environment=environment, on_exit=self._exit.set_result, rules=self._config.rules
            )
        except OSError as error:
            self._lose(f"the worker process cannot be started: {error}")
            return
        self._process = process
        output = OutputLines(self._printed)
        connection = Connection(ToServer, on_message=self._received, on_end=self._pipe_end)
        ends: list[Callable[[], None]] = [process.output.close, process.sock.close]
        try:
            printed, _ = await loop.connect_read_pipe(lambda: output, process.output)
            ends[0] = printed.close
            pipe, _ = await loop.create_connection(lambda: connection, sock=process.sock)
            ends[1] = pipe.abort
            self._connection = connection
            connection.send(self._config)
            ended = await self._watch(connection, process)
            await asyncio.wait((self._pipe_ended, output.ended), timeout=_DRAIN_S)
            self._lose(self._reason or ended)
        finally:
            self._listener = None
            process.kill()
            for end in ends:
                end()
            await asyncio.wait((self._exit,))

    async def _watch(self, connection: Connection, process: EngineProcess) -> str:
        """Ping until the process ends, and kill it if it hangs."""
        started = time.monotonic()
        pause = self._config.lease_s / _PINGS_PER_LEASE
        sequence = 0
        while not self._exit.done():
            sequence += 1
            connection.send(Ping(sequence=sequence))
            await asyncio.wait((self._exit,), timeout=pause)
            now = time.monotonic()
            if not self.ready.is_set() and now - started > START_LIMIT_S:
                self.kill(f"the worker process was not ready within {START_LIMIT_S:.0f} s")
            elif self.ready.is_set() and now - self._last_seen > self._config.lease_s and self._does_nothing(process):
                self.kill(f"the worker process did not respond for {self._config.lease_s:.0f} s")
        return self._exit.result()

    def _does_nothing(self, process: EngineProcess) -> bool:
        return self._job is None or process.is_stopped()

    def _received(self, message: ToServer) -> None:
        self._last_seen = time.monotonic()
        if self._listener is None:
            return
        if not self.ready.is_set():
            if isinstance(message, Ready):
                self.ready.set()
                self._listener.engine_ready(self._slot, message)
            else:
                self.kill(f"the worker process began with {type(message).__name__}")
            return
        if isinstance(message, JobDone):
            self._job = None
            self.has_worked = True
        self._listener.engine_message(self._slot, message)
        if isinstance(message, JobDone):
            self._recycle_if_grown()

    def _recycle_if_grown(self) -> None:
        """Replace an engine that has grown too large, between two jobs: at any other moment that would cost a retry.

        The loss is reported immediately, before the listener can send the slot another job.
        """
        rss = self._process.rss() if self._process is not None and self._rss_limit_bytes else 0
        if rss > self._rss_limit_bytes:
            self.kill(f"the worker process held {rss} bytes, more than {self._rss_limit_bytes}, and is replaced")
            self._lose(self._reason or "")

    def _lose(self, reason: str) -> None:
        if self._listener is not None:
            level = logging.INFO if self._is_expected else logging.WARNING
            log.log(level, "the worker of slot %s is gone: %s", self._slot, reason)
            self._listener.engine_lost(self._slot, reason)
            self._listener = None

    def _pipe_end(self, reason: str | None) -> None:
        if not self._pipe_ended.done():
            self._pipe_ended.set_result(None)
        if reason is not None:
            self.kill(f"the worker process sent data that is not a message: {reason}")
        elif not self._exit.done():
            asyncio.get_running_loop().call_later(_CLOSED_PIPE_S, self._kill_if_alive)

    def _kill_if_alive(self) -> None:
        if not self._exit.done():
            self.kill("the worker process closed its pipe")

    def _printed(self, lines: list[str]) -> None:
        if not self.ready.is_set() or self._listener is None:
            for line in lines:
                log.info("worker of slot %s: %s", self._slot, line)
            return
        job_id = self._job.job_id if self._job is not None else None
        at_ms = time.time_ns() // 1_000_000
        self._listener.engine_message(self._slot, LogLines(lines=[(at_ms, line) for line in lines], job_id=job_id))
