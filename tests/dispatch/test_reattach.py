"""An agent whose owners die at random moments, with a fixed seed: the next owner knows exactly what the engine has
reported about the attempt, and for each name request whether it was answered."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from tests.dispatch.engines import SLOT, engine_config
from tests.dispatch.harness import READY, call, done, of
from tests.events import opened, output, report

from safelight.core.event import CallProgressed, CallStarted
from safelight.dispatch.backend import EngineListener
from safelight.dispatch.backends import agent as module
from safelight.dispatch.backends.agent import SlotAgent
from safelight.dispatch.backends.agent_messages import Attached, EngineLost, Entry, Envelope, Send, SlotSpec, Token
from safelight.wire import messages as wire
from safelight.wire.codec import Decoder, encode
from safelight.wire.protocol import PROTOCOL

pytestmark = pytest.mark.anyio

STEPS = 120
LASTING = (CallStarted, wire.OutputReady, wire.ReserveNames, wire.JobDone)


class Engine:
    """A fake supervisor and engine: sends what the test wants, and records it. Mutable."""

    def __init__(self, slot: object, **_: Any) -> None:
        self.listener: EngineListener | None = None
        self.is_alive = False
        self.order: wire.RunJob | None = None
        self.said: list[wire.ToServer] = []
        self.asked: set[int] = set()
        self.answers: dict[int, int] = {}

    def start(self, listener: EngineListener) -> None:
        self.listener = listener
        asyncio.get_running_loop().call_soon(self.begin)

    def begin(self) -> None:
        if self.listener is not None:
            self.order, self.is_alive = None, True
            self.listener.engine_ready(SLOT, READY)

    def send(self, message: wire.ToEngine) -> None:
        match message:
            case wire.RunJob():
                assert self.order is None, "two jobs at once"
                self.order, self.said, self.asked, self.answers = message, [], set(), {}
            case wire.NamesReserved() if message.request_id in self.asked - set(self.answers):
                self.answers[message.request_id] = message.first

    def say(self, message: wire.ToServer) -> None:
        if isinstance(opened(message), LASTING):
            self.said.append(message)
        assert self.listener is not None
        if isinstance(message, wire.JobDone):
            self.order = None
        self.listener.engine_message(SLOT, message)

    def die(self) -> None:
        assert self.listener is not None
        self.order = None
        self.listener.engine_lost(SLOT, "died")
        if self.listener is not None:
            self.begin()

    def kill(self, reason: str) -> None: ...

    drain = kill

    def resume(self) -> None: ...

    async def stop(self) -> None:
        self.listener = None


class World:
    """One owner after another. Mutable: what the current one knows."""

    def __init__(self, seed: int, engines: list[Engine]) -> None:
        self.rng = random.Random(seed)
        self.engines = engines
        self.agent = SlotAgent({}, end=lambda: None)
        self.token: Token = (0, 1)
        self.jobs = self.requests = 0
        self.said: dict[str, list[wire.ToServer]] = {}  # of each job whose end was sent
        self.given: dict[tuple[str, int], int] = {}
        self.successions = 0

    @property
    def engine(self) -> Engine:
        return self.engines[-1]

    async def come(self) -> None:
        """Start another owner: the last one died without notice."""
        self.token = (self.token[0] + 1, 1)
        spec = msgspec.msgpack.encode(SlotSpec(config=engine_config(slot=SLOT)))
        answer = await self.agent.attach(self.token, PROTOCOL, spec, reattach=True)
        attached = msgspec.msgpack.decode(answer, type=Attached)
        self.after, self.generation = attached.number, attached.generation
        self.is_ready = self.is_passing = attached.journal is not None
        self.job: str | None = None
        self.known: list[wire.ToServer] = []
        self.open: list[wire.ReserveNames] = []
        self.numbers: dict[int, int] = {}
        if (journal := attached.journal) is not None:
            self.successions += 1
            self.job = journal.job_id
            for _, message in journal.messages:
                self.hear_of_job(message)
            for request, first in journal.numbers.items():
                assert self.given[journal.job_id, request] == first
                assert request in {m.request_id for m in self.known if isinstance(m, wire.ReserveNames)}
            self.open = [message for message in self.open if message.request_id not in journal.numbers]

    def hear_of_job(self, message: wire.ToServer) -> None:
        if not isinstance(message, wire.JobMessage) or message.job_id != self.job:
            return
        if isinstance(opened(message), LASTING):
            self.known.append(message)
        if isinstance(message, wire.ReserveNames):
            self.open.append(message)
        if isinstance(message, wire.JobDone):
            assert self.known == self.said[message.job_id]  # all messages, in order, once
            self.job = None

    async def poll(self) -> None:
        answer: bytes | None = b""
        with suppress(TimeoutError):  # no new messages; the earlier ones are acknowledged anyway
            async with asyncio.timeout(0):
                answer = await self.agent.poll(self.token, self.after)
        assert answer is not None
        if self.rng.random() < 0.2:
            return  # the response was lost
        for entry in Decoder[Entry](Entry).feed(answer):
            assert entry.number == self.after + 1
            self.after = entry.number
            match entry:
                case Envelope(message=wire.Ready()):
                    self.is_ready, self.is_passing = True, False
                case Envelope():
                    self.hear_of_job(entry.message)
                case EngineLost():
                    self.generation += 1
                    self.is_ready, self.job, self.open = False, None, []

    async def send(self, message: wire.ToEngine) -> None:
        order = Send(generation=self.generation, message=message)
        assert await self.agent.command(self.token, encode([order]))

    async def run(self) -> None:
        if self.is_ready and self.job is None and not self.is_passing:
            self.jobs += 1
            self.job, self.known, self.open = f"j{self.jobs}", [], []
            order = wire.RunJob(job_id=self.job, attempt=1, owner_id="u", prompt={}, targets=[], staging=f"/{self.job}")
            await self.send(order)

    async def answer(self) -> None:
        if self.open:
            question = self.open.pop(0)
            first = self.requests + 1000
            self.requests += 1
            self.given[question.job_id, question.request_id] = first
            await self.send(wire.NamesReserved(request_id=question.request_id, first=first))

    async def speak(self) -> None:
        engine = self.engine
        if engine.order is None or engine.listener is None:
            return
        words = of(engine.order)
        kind = self.rng.randrange(6)
        if kind == 0:
            engine.say(report(CallStarted(call=call(str(len(engine.said)))), **words))
        elif kind == 1:
            engine.say(output(**words, call=call("2"), ui={"n": len(engine.said)}))
        elif kind == 2:
            engine.say(report(CallProgressed(call=call("2"), value=1, total=2), **words))
        elif kind == 3:
            engine.asked.add(request := len(engine.asked) + 1)
            engine.say(wire.ReserveNames(**words, request_id=request, folder="output", subfolder="", prefix="a"))
        elif kind == 4 and not engine.asked - set(engine.answers):
            self.said[engine.order.job_id] = engine.said
            engine.say(done(engine.order))

    async def die(self) -> None:
        if self.engine.is_alive and self.engine.listener is not None:
            self.engine.die()

    async def live(self) -> None:
        await self.come()
        acts: list[Callable[[], Any]] = [
            *(2 * [self.run]),
            *(4 * [self.poll]),
            *(2 * [self.answer]),
            *(6 * [self.speak]),
            self.come,
        ]
        for _ in range(STEPS):
            await (self.die if self.rng.random() < 0.02 else self.rng.choice(acts))()
            for _ in range(self.rng.randrange(4)):
                await asyncio.sleep(0)
        # No more deaths: the current attempt, if there is one, ends, and so does the next one.
        for _ in range(2):
            goal = self.jobs + 1
            for _ in range(2000):
                await self.rng.choice((self.run, self.poll, self.answer, self.speak))()
                await asyncio.sleep(0)
                if self.jobs >= goal:
                    break
            assert self.jobs >= goal, "the slot stands still"
        await self.agent.shutdown(self.token)
        self.agent._watching.cancel()


async def test_the_next_owner_knows_everything_that_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    engines: list[Engine] = []

    def make(slot: object, **options: Any) -> Engine:
        engines.append(Engine(slot, **options))
        return engines[-1]

    monkeypatch.setattr(module, "Supervisor", make)
    successions = 0
    for seed in range(300):
        engines.clear()
        world = World(seed, engines)
        try:
            await world.live()
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
        successions += world.successions
    assert successions > 300
