"""A ComfyUI on a slot: what is particular to it. The stand-in, confined as a server's engines are."""

import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.dispatch.engines import Bench, EngineLost, bench, node

from safelight.comfyui.installation import Installation
from safelight.comfyui_engine.slot_folder import SlotFolder, model_paths
from safelight.core.job import JobState
from safelight.core.model_folders import MODEL_FOLDERS
from safelight.sandbox.rules import Rules
from safelight.wire.messages import OutputReady

pytestmark = pytest.mark.anyio

STANDIN = Path(__file__).parents[1] / "comfyui" / "standin"
PACK = """
import os
from server import PromptServer


def ask(data):
    for node in data["prompt"].values():
        if node["inputs"].get("path") == "asked":
            node["inputs"]["path"] = "listening"
    return data


PromptServer.instance.add_on_prompt_handler(ask)


class Look:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"path": ("STRING", {})}}

    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    def run(self, path):
        if path == "listening":
            tables = [open(f"/proc/self/net/{name}").read().splitlines()[1:] for name in ("tcp", "tcp6")]
            return {"ui": {"text": [row for table in tables for row in table if row.split()[3] == "0A"]}}
        try:
            with open(path, "a"):
                return {"ui": {"text": ["written"]}}
        except OSError as error:
            return {"ui": {"text": [error.strerror]}}


NODE_CLASS_MAPPINGS = {"Look": Look}
"""


def installation(folder: Path) -> Path:
    """A ComfyUI with one pack."""
    root = folder / "ComfyUI"
    shutil.copytree(STANDIN, root)
    (root / "custom_nodes" / "look").mkdir()
    (root / "custom_nodes" / "look" / "__init__.py").write_text(PACK)
    return root


def confined(folder: Path, root: Path, **config: Any) -> Bench:
    staging, slot = folder / "staging", folder / "slot"
    staging.mkdir()
    slot.mkdir()
    rules = Rules(network=False, writable=(str(staging), str(slot)), readable=(str(root),), own_processes=True)
    options: dict[str, Any] = {"custom_nodes": (), "pack_copies": str(slot), "device": "cpu", "rules": rules}
    return bench(staging, **options | {"kind": "comfyui", "root": str(root), "python": sys.executable} | config)


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that the engine may write to, as a server gives each slot one."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "slot"))


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Bench]:
    under_test = confined(tmp_path, installation(tmp_path))
    await under_test.backend.start(under_test.listener)
    try:
        await under_test.ready()
        yield under_test
    finally:
        await under_test.backend.stop()


async def look(engine: Bench, path: str) -> Any:
    messages, done = await engine.run({"1": node("Look", path=path)}, "1")
    assert done.outcome is JobState.COMPLETED, done.error
    return next(m.made.output for m in messages if isinstance(m, OutputReady))


async def test_it_is_confined_and_writes_to_its_own_folders_only(engine: Bench, tmp_path: Path) -> None:
    root = tmp_path / "ComfyUI"
    assert (await look(engine, str(root / "custom_nodes" / "look" / "__init__.py")))["text"] != ["written"]
    assert (await look(engine, "/etc/hostname"))["text"] != ["written"]
    assert (await look(engine, str(tmp_path / "slot" / "comfyui" / "user" / "a.txt")))["text"] == ["written"]


async def test_it_listens_on_no_tcp_port_and_packs_may_change_a_prompt(engine: Bench) -> None:
    assert await look(engine, "asked") == {"text": []}


async def test_a_folder_that_is_no_comfyui_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    (tmp_path / "empty").mkdir()
    engine = confined(tmp_path, tmp_path / "empty")
    await engine.backend.start(engine.listener)
    _, lost = await engine.listener.until(EngineLost)
    await engine.backend.stop()
    assert lost.reason == "the worker process ended with status 1"
    assert "this engine cannot start: no main.py in" in caplog.text


async def test_a_comfyui_that_is_too_old_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    root = installation(tmp_path)
    with (root / "execution.py").open("a") as file:
        file.write("\n\ndef validate_prompt(prompt):\n    return True, None, [], {}\n")
    engine = confined(tmp_path, root)
    await engine.backend.start(engine.listener)
    await engine.listener.until(EngineLost)
    await engine.backend.stop()
    assert "its validate_prompt is not asynchronous: version 0.3.45 or newer is needed" in caplog.text


async def test_caches_of_another_form_are_emptied_when_the_owner_changes(tmp_path: Path) -> None:
    root = installation(tmp_path)
    source = (root / "execution.py").read_text().replace("class IsChangedCache", "class Changes")
    (root / "execution.py").write_text(source.replace("= IsChangedCache(", "= Changes("))
    engine = confined(tmp_path, root)
    await engine.backend.start(engine.listener)
    try:
        ready = await engine.ready()
        assert ready.lacks == ["its caches have another form, so they are emptied when the user changes"]
        prompt = {"1": node("Look", path="/nowhere/x")}
        ran = [(await engine.run(prompt, "1", owner=owner))[1].executed for owner in ("anna", "anna", "bob", "anna")]
        assert ran == [["1"], [], ["1"], ["1"]]
    finally:
        await engine.backend.stop()


def test_models_of_the_server_are_told_to_comfyui(tmp_path: Path) -> None:
    for place in ("ComfyUI/models/checkpoints", "shared/unet", "shared/mine"):
        (tmp_path / place).mkdir(parents=True)
    own = Installation(tmp_path / "ComfyUI", Path(sys.executable))
    shared, folder = tmp_path / "shared", SlotFolder(tmp_path / "slot")
    found = model_paths(own, [str(own.root / "models"), str(shared)], [("loras", "/more/loras", True)], folder)
    of_root: Any = found.pop("root_1")
    assert found == {
        "safelight": {"custom_nodes": str(tmp_path / "slot" / "custom_nodes")},
        "folder_0": {"loras": "/more/loras", "is_default": True},
    }
    # With folders that do not exist yet: a model may be added to one while ComfyUI runs.
    assert of_root["checkpoints"] == str(shared / "checkpoints")
    assert of_root["diffusion_models"] == f"{shared / 'unet'}\n{shared / 'diffusion_models'}"
    assert of_root["mine"] == str(shared / "mine")
    assert set(of_root) == {*MODEL_FOLDERS, "mine"}


def test_the_arguments_of_the_operator_cannot_move_the_folders_of_the_slot(tmp_path: Path) -> None:
    given = SlotFolder(tmp_path).arguments(
        Installation(STANDIN, Path(sys.executable)), ["--lowvram", "--output-directory", "/elsewhere"], device="cpu"
    )
    last = max(index for index, word in enumerate(given) if word == "--output-directory")
    assert given[last + 1] == str(tmp_path / "output")
    assert given[0] == "--lowvram"
    assert "--cpu" in given
