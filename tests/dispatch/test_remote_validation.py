"""Validation of a prompt in an engine before it is accepted, and what happens if the engine does not respond."""

import asyncio
from pathlib import Path

import pytest

from safelight.core.ids import UserId
from safelight.core.worker import SlotId
from safelight.dispatch.remote_validation import RemoteValidation, Violations
from safelight.wire.messages import InputsValidated, ToEngine, ValidateInputs

pytestmark = pytest.mark.anyio

SLOT = SlotId("a")


class Post:
    """The sending side of a backend."""

    slots = (SLOT,)

    def __init__(self) -> None:
        self.sent: list[ToEngine] = []

    async def start(self, listener: object) -> None: ...

    def send(self, slot: SlotId, message: ToEngine) -> None:
        self.sent.append(message)

    def kill(self, slot: SlotId, reason: str) -> None: ...

    async def stop(self) -> None: ...


async def ask(subject: RemoteValidation) -> "asyncio.Task[Violations]":
    asked = subject.validate(SLOT, owner_id=UserId("ada"), prompt={"1": {}}, targets=["1"], files={})
    task = asyncio.create_task(asked)  # type: ignore[arg-type]
    await asyncio.sleep(0)
    return task


async def test_responses_are_matched_to_their_requests(tmp_path: Path) -> None:
    post = Post()
    subject = RemoteValidation(post)
    first, second = await ask(subject), await ask(subject)
    numbers = [m.request_id for m in post.sent if isinstance(m, ValidateInputs)]
    subject.answered(InputsValidated(request_id=numbers[1], violations={"1": "no"}))
    subject.answered(InputsValidated(request_id=numbers[0]))
    subject.answered(InputsValidated(request_id=99, violations={"1": "nobody asked"}))
    assert (await first, await second) == ({}, {"1": "no"})


async def test_a_lost_engine_reports_no_violations() -> None:
    subject = RemoteValidation(Post())
    waiting = await ask(subject)
    subject.lost(SlotId("another"))
    assert not waiting.done()
    subject.lost(SLOT)
    assert await waiting == {}
