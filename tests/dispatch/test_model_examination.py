"""Asking an engine which model files it cannot load."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from tests.dispatch.harness import running
from tests.dispatch.test_scheduling import S1, all_ready

from safelight.core.engine_kind import OWN, EngineKind
from safelight.dispatch import model_examination
from safelight.dispatch.backends.fake import Crash
from safelight.services.model import ModelFile
from safelight.wire import messages as wire

pytestmark = pytest.mark.anyio


def strict(message: wire.ToEngine) -> Iterable[wire.ToServer | Crash]:
    """An engine that cannot load any file whose name begins with ``bad``."""
    if isinstance(message, wire.ExamineModels):
        bad = {file.path: "too new" for file in message.files if Path(file.path).name.startswith("bad")}
        yield wire.ModelsExamined(request_id=message.request_id, unusable=bad)


def model(folder: Path, name: str, data: bytes = b"x") -> ModelFile:
    path = folder / name
    path.write_bytes(data)
    return ModelFile(name, 0, path, "checkpoints")


async def test_only_our_own_engine_is_asked_and_only_once_for_each_file(tmp_path: Path) -> None:
    kinds = {S1: EngineKind("comfyui")}
    async with running(tmp_path, slots=2, script=strict, kinds=kinds, preference=[OWN, *kinds.values()]) as env:
        await all_ready(env)
        files = [model(tmp_path, "bad.safetensors"), model(tmp_path, "good.safetensors")]
        assert await env.dispatcher.access.examine_models(files) == {"bad.safetensors": "too new"}
        assert await env.dispatcher.access.examine_models(files) == {"bad.safetensors": "too new"}
        [(slot, asked)] = [(slot, m) for slot, m in env.backend.sent if isinstance(m, wire.ExamineModels)]
        assert (slot, len(asked.files)) == ("s0", 2)
        model(tmp_path, "good.safetensors", b"another file")
        await env.dispatcher.access.examine_models(files)
        assert [len(asked.files) for asked in env.sent(wire.ExamineModels)] == [2, 1]


async def test_an_engine_that_does_not_answer_refuses_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_examination, "ANSWER_S", 0.01)
    async with running(tmp_path) as env:
        await all_ready(env)
        assert await env.dispatcher.access.examine_models([model(tmp_path, "bad.safetensors")]) == {}
