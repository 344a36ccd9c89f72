"""A slot with an engine of each kind: Safelight's own, and a ComfyUI: the stand-in of these tests, and with
``SAFELIGHT_TEST_COMFYUI=/opt/ComfyUI[:/opt/python]`` (several divided by commas) real ones."""

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.dispatch.engines import Bench, bench

PACKS = Path(__file__).parent / "packs"
STANDIN = Path(__file__).parents[2] / "comfyui" / "standin"
REAL = [place for place in os.environ.get("SAFELIGHT_TEST_COMFYUI", "").split(",") if place]
KINDS = [
    pytest.param("safelight", id="safelight"),
    pytest.param(f"{STANDIN}:{sys.executable}", id="standin"),
    *(pytest.param(place, id=place, marks=pytest.mark.slow) for place in REAL),
]


def slot(kind: str, folder: Path, **config: Any) -> Bench:
    """``kind``: ``safelight``, or the place of a ComfyUI as a setting names it."""
    (folder / "slot").mkdir(parents=True)
    (folder / "staging").mkdir()
    own = {"custom_nodes": (str(PACKS),), "pack_copies": str(folder / "slot"), "device": "cpu"}
    if kind != "safelight":
        root, _, python = kind.partition(":")
        own |= {
            "kind": "comfyui",
            "root": root,
            "python": python or os.environ.get("SAFELIGHT_TEST_COMFYUI_PYTHON", ""),
            "custom_nodes": (),
            "extra_models": (("custom_nodes", str(PACKS), False),),
        }
    return bench(folder / "staging", **own | config)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def engine(kind: str, tmp_path: Path) -> AsyncIterator[Bench]:
    """An engine that is ready."""
    under_test = slot(kind, tmp_path)
    await under_test.backend.start(under_test.listener)
    try:
        await under_test.ready()
        yield under_test
    finally:
        await under_test.backend.stop()
