"""Two owners on one slot of any kind: neither sees what the other's jobs had."""

from pathlib import Path
from typing import Any

import pytest
from tests.dispatch.engines import SLOT, Bench, node
from tests.ports.engine.conftest import Kind, slot

from safelight.blobs.hashing import hash_file
from safelight.core.job import JobState
from safelight.wire.messages import (
    CheckFiles,
    FileRef,
    FilesChecked,
    InputsValidated,
    JobDone,
    OutputReady,
    Pong,
    ValidateInputs,
)

pytestmark = pytest.mark.anyio


def given(folder: Path, text: str, name: str = "a.txt") -> dict[str, FileRef]:
    """A file of an owner's, as the server passes it."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{text}.txt"
    path.write_text(text)
    return {name: FileRef(hash_file(path), len(text), "text/plain", str(path))}


async def shown(engine: Bench, class_type: str, owner: str, files: dict[str, FileRef]) -> list[str]:
    """What a node that reads a file shows."""
    prompt = {"1": node(class_type, name="a.txt"), "2": node("Show", value=["1", 0])}
    messages, done = await engine.run(prompt, "2", owner=owner, files=files)
    assert done.outcome is JobState.COMPLETED, done.error
    return [text for m in messages if isinstance(m, OutputReady) for text in (m.made.output or {}).get("text", ())]


@pytest.mark.parametrize("class_type", ["ReadInput", "ReadInside", "ReadTwice"])
async def test_a_file_by_name_is_the_owners_own(engine: Bench, tmp_path: Path, class_type: str) -> None:
    """None of these nodes has a fingerprint; one expands, one takes a list."""
    times = 2 if class_type == "ReadTwice" else 1
    annas, bobs = given(tmp_path / "anna", "anna"), given(tmp_path / "bob", "bob")
    assert await shown(engine, class_type, "anna", annas) == ["anna" * times]
    assert await shown(engine, class_type, "bob", bobs) == ["bob" * times]
    assert await shown(engine, class_type, "bob", bobs) == ["bob" * times]
    assert await shown(engine, class_type, "anna", given(tmp_path / "anna", "new")) == ["new" * times]


async def test_the_input_folder_has_the_files_of_the_job_only(engine: Bench, tmp_path: Path) -> None:
    assert await shown(engine, "ListInput", "anna", given(tmp_path, "anna")) == ["a.txt"]
    assert await shown(engine, "ListInput", "bob", {}) == [""]


async def test_an_upload_cannot_be_changed_by_a_node(engine: Bench, tmp_path: Path) -> None:
    files = given(tmp_path / "anna", "anna")
    prompt = {"1": node("Overwrite", name="a.txt")}
    await engine.run(prompt, "1", owner="anna", files=files)
    assert Path(files["a.txt"].path).read_text() == "anna"


async def test_objects_of_node_classes_keep_nothing_of_another_owner(engine: Bench) -> None:
    async def recalled(owner: str, text: str) -> Any:
        prompt = {"1": node("Recall", text=text), "2": node("Show", value=["1", 0])}
        messages, _ = await engine.run(prompt, "2", owner=owner)
        return next(m.made.output["text"] for m in messages if isinstance(m, OutputReady))

    assert await recalled("anna", "secret") == ["nothing"]
    assert await recalled("bob", "mine") == ["nothing"]


async def test_public_models_are_loaded_once_for_all_and_reported_as_warm(kind: Kind, tmp_path: Path) -> None:
    checkpoints = tmp_path / "models" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "big.safetensors").write_text("weights")
    prompt = {"1": node("LoadModel", name="big.safetensors"), "2": node("Show", value=["1", 0])}
    engine = slot(kind, tmp_path, model_roots=(str(tmp_path / "models"),), lease_s=2.5)
    await engine.backend.start(engine.listener)
    try:
        await engine.ready()
        _, first = await engine.run(prompt, "2", owner="anna")
        messages, second = await engine.run(prompt, "2", owner="bob")
        assert (first.executed, second.executed) == (["1", "2"], ["2"])
        assert [m.made.output for m in messages if isinstance(m, OutputReady)] == [{"text": ["weights"]}]
        if kind.is_comfyui:  # the own engine reports networks, and this is none
            while not isinstance(pong := (await engine.listener.received.get())[1], Pong):
                pass
            assert pong.info.warm_models == ("big.safetensors",)
    finally:
        await engine.backend.stop()


async def test_the_values_that_are_filled_in_are_those_of_the_job(engine: Bench) -> None:
    prompt = {"1": node("Reveal", value=1)}
    options: dict[str, Any] = {"extra_pnginfo": {"workflow": {"a": 1}}, "secrets": {"api_key_comfy_org": "k"}}
    for owner, given, shown in (
        ("anna", options, ["{'workflow': {'a': 1}}", "k", "1"]),
        ("bob", {}, ["None", "None", "1"]),
    ):
        messages, _ = await engine.run(prompt, "1", owner=owner, **given)
        assert [m.made.output for m in messages if isinstance(m, OutputReady)] == [{"text": shown}]


async def test_the_secrets_and_the_prompt_of_a_job_are_forgotten(engine: Bench) -> None:
    prompt = {"1": node("History", value=1)}
    await engine.run({"1": node("Show", value="secret of anna")}, "1", owner="anna")
    messages, _ = await engine.run(prompt, "1", owner="bob")
    assert [m.made.output["text"] for m in messages if isinstance(m, OutputReady)] == [["0"]]


async def test_a_cached_output_whose_file_is_gone_is_made_again(engine: Bench) -> None:
    prompt = {"1": node("SaveText", text="x", prefix="a")}
    await engine.run(prompt, "1")
    engine.send(prompt, "1")
    _, check = await engine.listener.until(CheckFiles)
    assert [file.filename for file in check.files] == ["a_00001_.txt"]
    engine.backend.send(SLOT, FilesChecked(request_id=check.request_id, gone=[0]))
    messages, done = await engine.end()
    assert done.executed == ["1"]
    [made] = [m for m in messages if isinstance(m, OutputReady)]
    assert [file.filename for file in made.files] == ["a_00002_.txt"]


async def test_inputs_are_validated_with_the_files_of_their_owner(engine: Bench, tmp_path: Path) -> None:
    async def violations(number: int, files: dict[str, FileRef]) -> Any:
        message = ValidateInputs(
            request_id=number,
            owner_id="anna",
            prompt={"1": node("Exists", name="a.txt"), "2": node("Show", value="x")},
            targets=["1", "2"],
            files=files,
        )
        engine.backend.send(SLOT, message)
        _, answer = await engine.listener.until(InputsValidated)
        assert answer.request_id == number
        return answer.violations

    assert await violations(1, {}) == {"1": "there is no a.txt"}
    assert await violations(2, given(tmp_path / "anna", "anna")) == {}
    assert await violations(3, {}) == {"1": "there is no a.txt"}


async def test_a_job_whose_inputs_a_node_rejects_fails(engine: Bench) -> None:
    engine.send({"1": node("Exists", name="a.txt")}, "1")
    _, done = await engine.listener.until(JobDone)
    assert done.outcome is JobState.FAILED
    assert done.error is not None
    assert (done.error.exception_type, done.error.node_id) == ("CustomValidationFailed", "1")
    assert "there is no a.txt" in done.error.exception_message
