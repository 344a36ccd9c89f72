"""A ComfyUI as the engine of a slot on a Ray cluster: the stand-in."""

import sys
from pathlib import Path

import pytest
from tests.dispatch.engines import EngineLost, node
from tests.dispatch.test_ray import SLOT, host
from tests.ports.engine.conftest import PACKS, STANDIN
from tests.ray_cluster import Nodes

from safelight.core.event import CallStarted
from safelight.core.job import JobState
from safelight.wire.messages import JobDone, NamesReserved, OutputReady, Ready, ReserveNames

pytestmark = pytest.mark.anyio


async def test_a_job_runs_and_the_loss_of_its_engine_is_reported(ray_nodes: Nodes, tmp_path: Path) -> None:
    comfyui = {
        "kind": "comfyui",
        "root": str(STANDIN),
        "python": sys.executable,
        "device": "cpu",
        "custom_nodes": (),
        "extra_models": (("custom_nodes", str(PACKS), False),),
    }
    async with host(ray_nodes, "ray-comfyui", **comfyui) as env:
        ready = await env.start()
        assert ready.info.version.startswith("ComfyUI")
        env.run({"1": node("SaveText", text="there", prefix="a")}, staging=tmp_path)
        _, asked = await env.listener.until(ReserveNames)
        env.backend.send(SLOT, NamesReserved(request_id=asked.request_id, first=7))
        _, made = await env.listener.until(OutputReady)
        assert [(file.filename, Path(file.path).read_text()) for file in made.files] == [("a_00007_.txt", "there")]
        _, done = await env.listener.until(JobDone)
        assert done.outcome is JobState.COMPLETED
        env.run({"1": node("Deed", what="segfault")}, job_id="k")
        await env.listener.until(CallStarted)
        _, lost = await env.listener.until(EngineLost)
        assert "SIGSEGV" in lost.reason
        await env.listener.until(Ready)
