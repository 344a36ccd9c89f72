"""A request for a node pack that reaches an engine just before it serves is answered, not lost."""

from pathlib import Path
from typing import Any

from safelight.runtime.engine import Engine
from safelight.wire.messages import PackRequest, Stop


class Unused:
    """Parts that an engine without jobs does not use."""

    model_roots: tuple[Path, ...] = ()

    def renew(self) -> None:
        pass


class Routes:
    def __init__(self) -> None:
        self.asked: list[int] = []

    def answer(self, asked: PackRequest) -> None:
        self.asked.append(asked.request_id)


def request(number: int) -> PackRequest:
    return PackRequest(request_id=number, method="GET", path="/a", headers=[], body=b"")


def test_a_request_before_the_engine_serves_is_answered_when_it_does() -> None:
    unused: Any = Unused()
    routes: Any = Routes()
    engine = Engine(unused, device="cpu", watchdog=unused)
    engine.read([request(1), request(2), Stop()])
    assert routes.asked == []
    engine.serve(unused, finish_lines=lambda: None, pack_routes=routes)
    assert routes.asked == [1, 2]
    engine.read([request(3)])
    assert routes.asked == [1, 2, 3]
