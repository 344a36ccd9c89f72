"""Letting jobs through, or not."""

import pytest
from tests.database import ANNA, Desk
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


async def test_gates_are_kept_and_told(desk: Desk) -> None:
    assert await desk.look(gates.load) == Gates()
    await desk.do(gates.set_slot, ROOT, slot=SLOT, mode=SlotGate.PAUSED)
    await desk.do(gates.set_slot, ROOT, slot=SLOT, mode=SlotGate.DRAINED)
    state = await desk.do(gates.set_queue, ROOT, mode=QueueGate.PAUSED)
    assert state == Gates(QueueGate.PAUSED, {SLOT: SlotGate.DRAINED})
    assert desk.heard()[-1] == GatesChanged(state)
    await desk.do(gates.set_slot, ROOT, slot=SLOT, mode=SlotGate.OPEN)
    await desk.do(gates.set_queue, ROOT, mode=QueueGate.OPEN)
    assert await desk.look(gates.load) == Gates()


async def test_a_draining_queue_accepts_no_job(desk: Desk) -> None:
    await desk.do(gates.set_queue, ROOT, mode=QueueGate.DRAINING)
    with pytest.raises(Unavailable, match="drained"):
        await submit(desk, ANNA)
    await desk.do(gates.set_queue, ROOT, mode=QueueGate.PAUSED)
    await submit(desk, ANNA)


async def test_gates_are_for_administrators(desk: Desk) -> None:
    for set_one in (
        lambda tx: gates.set_queue(tx, ANNA, mode=QueueGate.PAUSED),
        lambda tx: gates.set_slot(tx, ANNA, slot=SLOT, mode=SlotGate.PAUSED),
    ):
        with pytest.raises(Forbidden):
            await desk.db.write(set_one)
    assert await desk.look(gates.load) == Gates()
