"""The gates of the queue and of slots."""

import pytest
from tests.database import ANNA, Env
from tests.services.jobs import submit

from safelight.core.errors import Forbidden, Unavailable
from safelight.core.event import GatesChanged
from safelight.core.gate import Gates, QueueGate
from safelight.core.user import Principal
from safelight.core.worker import SlotGate, SlotId
from safelight.services import gate as gates

pytestmark = pytest.mark.anyio

ROOT = Principal(ANNA.user_id, is_admin=True)
SLOT = SlotId("local-0")


async def test_gates_are_kept_and_told(env: Env) -> None:
    assert await env.read(gates.load) == Gates()
    await env.do(gates.set_slot, ROOT, slot=SLOT, mode=SlotGate.PAUSED)
    await env.do(gates.set_slot, ROOT, slot=SLOT, mode=SlotGate.DRAINED)
    state = await env.do(gates.set_queue, ROOT, mode=QueueGate.PAUSED)
    assert state == Gates(QueueGate.PAUSED, {SLOT: SlotGate.DRAINED})
    assert env.take_events()[-1] == GatesChanged(state)
    await env.do(gates.set_slot, ROOT, slot=SLOT, mode=SlotGate.OPEN)
    await env.do(gates.set_queue, ROOT, mode=QueueGate.OPEN)
    assert await env.read(gates.load) == Gates()


async def test_a_draining_queue_accepts_no_job(env: Env) -> None:
    await env.do(gates.set_queue, ROOT, mode=QueueGate.DRAINING)
    with pytest.raises(Unavailable, match="drained"):
        await submit(env, ANNA)
    await env.do(gates.set_queue, ROOT, mode=QueueGate.PAUSED)
    await submit(env, ANNA)


async def test_gates_are_for_administrators(env: Env) -> None:
    for set_one in (
        lambda tx: gates.set_queue(tx, ANNA, mode=QueueGate.PAUSED),
        lambda tx: gates.set_slot(tx, ANNA, slot=SLOT, mode=SlotGate.PAUSED),
    ):
        with pytest.raises(Forbidden):
            await env.db.write(set_one)
    assert await env.read(gates.load) == Gates()
