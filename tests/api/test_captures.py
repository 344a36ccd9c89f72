"""The captured responses of a running ComfyUI 0.8.0, request by request in order, compared with those of this server.

``ours`` and ``why`` are given where this server does better or the contract differs. Times are not compared.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.api.client import Client

pytestmark = pytest.mark.anyio

CAPTURED = json.loads(Path(__file__).with_name("data").joinpath("captured_answers.json").read_text("utf-8"))


@pytest.mark.parametrize("scenario", CAPTURED)
async def test_answers_are_those_that_clients_know(client: Client, scenario: str) -> None:
    for captured in CAPTURED[scenario]:
        method, path = captured["request"].split(" ")
        body = captured["raw"].encode() if "raw" in captured else _encoded(captured)
        headers = {"origin": captured["origin"]} if "origin" in captured else {}
        answer = await client.request(method, path, body, headers=headers)
        assert answer.status == captured.get("ours", captured["status"]), captured
        if "json" in captured:
            assert _without_times(answer.json) == captured["json"], captured
        if "text" in captured:
            assert answer.text == captured["text"], captured


def _encoded(captured: dict[str, Any]) -> bytes:
    return json.dumps(captured["body"]).encode() if "body" in captured else b""


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_times(v) for k, v in value.items() if k not in ("modified", "created")}
    return [_without_times(v) for v in value] if isinstance(value, list) else value
