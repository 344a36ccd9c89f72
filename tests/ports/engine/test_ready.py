"""What an engine of any kind says when it is ready, and how it serves the routes of node packs."""

import json
import re
from pathlib import Path

import pytest
from tests.dispatch.engines import SLOT, Bench
from tests.ports.engine.conftest import PACKS, Kind, slot

from safelight.core.node import Section
from safelight.wire.messages import FreeMemory, PackMessage, PackRequest, PackResponse, Pong, Stop

pytestmark = pytest.mark.anyio


async def test_it_declares_its_nodes_packs_and_routes(kind: Kind, tmp_path: Path) -> None:
    engine = slot(kind, tmp_path)
    await engine.backend.start(engine.listener)
    try:
        ready = await engine.ready()
    finally:
        await engine.backend.stop()
    nodes = {node.name: node for node in ready.nodes}
    number, exists = nodes["Number"].input("value"), nodes["Exists"]
    assert number is not None
    assert (number.type, number.section, number.config["default"]) == ("INT", Section.REQUIRED, 0)
    assert isinstance(number.config["max"], float), "an integer beyond 64 bits means any number"
    assert (exists.has_validator, exists.validated_inputs, exists.is_output) == (True, ("name",), True)
    assert (nodes["ReadTwice"].input_is_list, nodes["Recall"].has_fingerprint) == (True, True)
    assert nodes["Show"].validates_types
    assert ready.info.version
    assert ready.info.pid > 1
    [(broken, reason)] = ready.failed_packs.items()
    assert (broken, reason) == ("broken_pack", reason)
    assert "no module named nothing" in reason
    assert Path(ready.web_directories["trial_pack"]).resolve() == PACKS / "trial_pack" / "web"
    for path in ("/trial/echo", "/api/trial/echo"):
        assert [r.pack for r in ready.routes if re.fullmatch(r.pattern, path)] == ["trial_pack"]
    assert not [r for r in ready.routes if re.fullmatch(r.pattern, "/history")], "not of a pack"


async def test_the_routes_of_packs_are_served_and_their_messages_go_to_the_caller(engine: Bench) -> None:
    request = PackRequest(
        request_id=7, method="POST", path="/api/trial/echo?a=b", headers=[("comfy-user", "ada")], body=b"hello"
    )
    engine.backend.send(SLOT, request)
    before, response = await engine.listener.until(PackResponse)
    assert (response.request_id, response.status) == (7, 200)
    assert json.loads(response.body) == {"user": "ada", "body": "hello"}
    [told] = [message for message in before if isinstance(message, PackMessage)]
    assert (told.request_id, told.name, told.data) == (7, "trial.asked", {"path": "/api/trial/echo"})


async def test_routes_that_are_not_of_a_pack_are_not_served(engine: Bench) -> None:
    engine.backend.send(SLOT, PackRequest(request_id=8, method="GET", path="/history"))
    _, response = await engine.listener.until(PackResponse)
    assert response.status == 404


async def test_it_answers_pings_and_frees_memory_and_stops(engine: Bench) -> None:
    while True:
        _, message = await engine.listener.received.get()
        if isinstance(message, Pong):
            break
    assert message.rss > 10_000_000
    engine.backend.send(SLOT, FreeMemory(unload_models=True, free_memory=True))
    engine.backend.send(SLOT, Stop())
    assert "status 0" in await lost(engine)


async def lost(engine: Bench) -> str:
    """Wait for the end of the engine, and return its reason."""
    from tests.dispatch.engines import EngineLost

    _, end = await engine.listener.until(EngineLost)
    return end.reason
