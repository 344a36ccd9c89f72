"""A slot with an engine of each kind: Safelight's own, and a ComfyUI: the stand-in of these tests, and with
``SAFELIGHT_TEST_COMFYUI=/opt/ComfyUI[:/opt/python]`` (several divided by commas) real ones. On this machine, and on a
Ray cluster (slow)."""

import itertools
import os
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.dispatch.engines import SLOT, Bench, Listener, bench, engine_config

from safelight.dispatch.backends.agent_messages import SlotSpec
from safelight.dispatch.backends.ray import RayBackend
from safelight.dispatch.backends.ray_cluster import Cluster

PACKS = Path(__file__).parent / "packs"
STANDIN = Path(__file__).parents[2] / "comfyui" / "standin"
REAL = [place for place in os.environ.get("SAFELIGHT_TEST_COMFYUI", "").split(",") if place]


@dataclass(frozen=True)
class Kind:
    """``engine``: ``safelight``, or the place of a ComfyUI as a setting names it. ``cluster``: the address of the Ray
    cluster that runs it; empty: this machine."""

    engine: str
    cluster: str = ""

    @property
    def is_comfyui(self) -> bool:
        return self.engine != "safelight"


KINDS = {
    "safelight": Kind("safelight"),
    "standin": Kind(f"{STANDIN}:{sys.executable}"),
    **{place: Kind(place) for place in REAL},
}
_servers = itertools.count()


def slot(kind: Kind, folder: Path, **config: Any) -> Bench:
    (folder / "slot").mkdir(parents=True)
    (folder / "staging").mkdir()
    own = {"custom_nodes": (str(PACKS),), "pack_copies": str(folder / "slot"), "device": "cpu"}
    if kind.is_comfyui:
        root, _, python = kind.engine.partition(":")
        own |= {
            "kind": "comfyui",
            "root": root,
            "python": python or os.environ.get("SAFELIGHT_TEST_COMFYUI_PYTHON", ""),
            "custom_nodes": (),
            "extra_models": (("custom_nodes", str(PACKS), False),),
        }
    if not kind.cluster:
        return bench(folder / "staging", **own | config)
    spec = SlotSpec(config=engine_config(**own | config, slot=SLOT))
    server = f"engine-suite-{next(_servers)}"
    return Bench(RayBackend({SLOT: spec}, cluster=Cluster(kind.cluster), server=server), Listener(), folder / "staging")


def _params() -> Iterator[Any]:
    for name, kind in KINDS.items():
        yield pytest.param((kind, False), id=name, marks=[pytest.mark.slow] if name in REAL else [])
        yield pytest.param((kind, True), id=f"{name}-ray", marks=pytest.mark.slow)


@pytest.fixture(params=_params())
def kind(request: pytest.FixtureRequest) -> Kind:
    kind, is_on_ray = request.param
    return replace(kind, cluster=request.getfixturevalue("ray_nodes").address) if is_on_ray else kind


@pytest.fixture
async def engine(kind: Kind, tmp_path: Path) -> AsyncIterator[Bench]:
    """An engine that is ready."""
    under_test = slot(kind, tmp_path)
    await under_test.backend.start(under_test.listener)
    try:
        await under_test.ready()
        yield under_test
    finally:
        await under_test.backend.stop()
