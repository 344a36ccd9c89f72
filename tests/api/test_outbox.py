"""The send queue of a socket: every frame while the client keeps up, only the latest ephemeral frames when it does
not."""

import pytest

from safelight.api.comfy.frame import Frame
from safelight.api.comfy.outbox import MAX_BYTES, MAX_FRAMES, RELAXED_BYTES, RELAXED_FRAMES, Outbox

pytestmark = pytest.mark.anyio


async def drain(outbox: Outbox) -> list[str | bytes]:
    return [(await outbox.get()).payload for _ in range(len(outbox))]


async def test_client_that_keeps_up_gets_every_step() -> None:
    outbox = Outbox()
    steps = [str(n) for n in range(RELAXED_FRAMES)]
    assert all(outbox.put(Frame(step, key="progress")) for step in steps)
    assert await drain(outbox) == steps


@pytest.mark.parametrize("backlog", [[b"x"] * RELAXED_FRAMES, [bytes(RELAXED_BYTES)]])
async def test_backlog_keeps_the_latest_under_a_key_and_all_else(backlog: list[bytes]) -> None:
    outbox = Outbox()
    for payload in backlog:
        outbox.put(Frame(payload))
    for step in range(100):
        outbox.put(Frame(f"preview {step}", key="preview"))
        outbox.put(Frame(f"progress {step}", key="progress"))
        outbox.put(Frame(f"event {step}"))
    waiting = await drain(outbox)
    assert waiting[len(backlog) :] == [*(f"event {s}" for s in range(99)), "preview 99", "progress 99", "event 99"]


async def test_frame_that_was_sent_is_no_longer_the_latest() -> None:
    outbox = Outbox()
    outbox.put(Frame("sent", key="progress"))
    await outbox.get()
    for _ in range(RELAXED_FRAMES):
        outbox.put(Frame("x"))
    outbox.put(Frame("new", key="progress"))
    assert (await drain(outbox))[-1] == "new"


async def test_full_outbox_refuses_what_may_not_be_dropped() -> None:
    outbox = Outbox()
    assert all(outbox.put(Frame("x")) for _ in range(MAX_FRAMES))
    assert outbox.put(Frame("progress", key="progress"))
    assert not outbox.put(Frame("x"))
    assert len(outbox) == MAX_FRAMES


async def test_ephemeral_frames_make_room() -> None:
    outbox = Outbox()
    for node in range(MAX_FRAMES - 1):
        outbox.put(Frame("x", key=f"progress {node}"))
    assert outbox.put(Frame("one"))
    assert outbox.put(Frame("two"))
    assert await drain(outbox) == ["one", "two"]


async def test_bytes_are_bounded() -> None:
    outbox = Outbox()
    assert outbox.put(Frame(bytes(MAX_BYTES)))
    assert not outbox.put(Frame(b"x"))
    await outbox.get()
    assert outbox.put(Frame(b"x"))
