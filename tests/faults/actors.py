"""An agent that outlives its killed server, beside the agent of the next server on the same machine.

Agents with real engines, and a store that is a dictionary behind HTTP; Ray would only carry their calls.
"""

import asyncio
import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
from tests.dispatch.engines import SLOT, engine_config, node
from tests.faults.ledger import Ledger

from safelight.blobs.hashing import hash_bytes
from safelight.core.job import JobState
from safelight.dispatch.backends.agent import SlotAgent
from safelight.dispatch.backends.agent_messages import (
    Command,
    Entry,
    Envelope,
    PresignRequest,
    PresignResponse,
    Send,
    SlotSpec,
)
from safelight.wire.codec import Decoder, encode
from safelight.wire.messages import JobDone, NamesReserved, Ready, ReserveNames, RunJob
from safelight.wire.protocol import PROTOCOL

LEASE_S = 1.0
PATIENCE_S = 120.0


@contextmanager
def store() -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield its address and its contents."""
    held: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            held[self.path[1:]] = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", held
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Owner:
    """A server as an agent sees it. Mutable."""

    folder: Path
    address: str
    token: tuple[int, int] = (1, 1)
    after: int = 0
    agent: SlotAgent = field(init=False)
    has_ended: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.agent = SlotAgent(os.environ, end=self.has_ended.set)

    async def attach(self) -> None:
        spec = SlotSpec(
            config=engine_config(slot=SLOT, lease_s=LEASE_S),
            slot_dirs=str(self.folder / "workers"),
            scratch=str(self.folder),
            scratch_bytes=10**9,
        )
        assert await self.agent.attach(self.token, PROTOCOL, msgspec.msgpack.encode(spec))
        await self.until(Ready)

    async def until(self, kind: type[Any]) -> Any:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                answer = await self.agent.poll(self.token, self.after)
                assert answer is not None
                for entry in Decoder[Entry](Entry).feed(answer):
                    self.after = entry.number
                    if isinstance(entry, PresignRequest):
                        await self.command(
                            PresignResponse(request_id=entry.request_id, url=f"{self.address}/{entry.digest}")
                        )
                    if isinstance(entry, Envelope) and isinstance(entry.message, ReserveNames):
                        await self.send(NamesReserved(request_id=entry.message.request_id, first=1))
                    if isinstance(entry, Envelope) and isinstance(entry.message, kind):
                        return entry.message

    async def run(self, name: str) -> JobDone:
        prompt = {"1": node("Save", text=name, prefix="a")}
        await self.send(RunJob(job_id=name, attempt=1, owner_id="u", prompt=prompt, targets=["1"], staging=""))
        done: JobDone = await self.until(JobDone)
        return done

    async def send(self, message: Any) -> None:
        await self.command(Send(generation=0, message=message))

    async def command(self, order: Command) -> None:
        assert await self.agent.command(self.token, encode([order]))


def ends(folder: Path, rng: random.Random, ledger: Ledger) -> None:
    """Agents of killed servers shut down by themselves, without affecting the agent of the next server."""
    asyncio.run(_ends(folder, rng, ledger))


async def _ends(folder: Path, rng: random.Random, ledger: Ledger) -> None:
    with store() as (address, held):
        outlived = [Owner(folder, address) for _ in range(rng.randint(1, 2))]
        for old in outlived:
            await old.attach()  # and never polls again
        new = Owner(folder, address)
        await new.attach()
        try:
            count = 0
            while not all(old.has_ended.is_set() for old in outlived):
                count += 1
                await _completes(new, f"beside{count}", held)
            ledger.injected("the end of an outlived actor beside its successor", len(outlived))
            for number in range(3):
                await _completes(new, f"after{number}", held)
        finally:
            await new.agent.shutdown(new.token)


async def _completes(owner: Owner, name: str, held: dict[str, bytes]) -> None:
    done = await owner.run(name)
    assert done.outcome is JobState.COMPLETED, done
    for number in range(2):
        text = f"{name} {number}".encode()
        assert held[hash_bytes(text)] == text
