"""The context of a call: the owner's files, models, and saved files."""

import errno
from pathlib import Path

import pytest
from tests.dispatch.engines import file_ref, node
from tests.runtime.harness import Harness

from safelight.blobs.hashing import hash_bytes
from safelight.core.event import NodeCall
from safelight.core.job import JobState
from safelight.runtime.call_context import CallContext
from safelight.runtime.outbox import Outbox
from safelight.runtime.running_job import RunningJob
from safelight.runtime.staging_check import storage_failure
from safelight.wire.messages import AttemptLost, CheckFiles, KeptFile, OutputReady, ReserveNames, RunJob, SavedFile
from safelight.worker.context import WorkerContext


def context(tmp_path: Path, **options: object) -> CallContext:
    run = RunJob(job_id="j", attempt=1, owner_id="u", prompt={}, targets=[], staging=str(tmp_path), **options)  # type: ignore[arg-type]
    job = RunningJob(run, Outbox(lambda frames: None))
    worker = WorkerContext(model_roots=(tmp_path / "first", tmp_path / "second"))
    return CallContext(job, NodeCall("1", "1", None, "1"), worker)


def test_saved_files_are_reported_with_their_digests(harness: Harness) -> None:
    done = harness.run({"1": node("Save", text="hello", prefix="notes/day")}, "1")
    assert done.outcome is JobState.COMPLETED
    [question] = harness.of_kind(ReserveNames)
    assert (question.folder, question.subfolder, question.prefix, question.count) == ("output", "notes", "day", 2)
    [output] = harness.of_kind(OutputReady)
    assert output.made.output == {
        "files": [
            {"filename": "day_00001_.txt", "subfolder": "notes", "type": "output"},
            {"filename": "day_00002_.txt", "subfolder": "notes", "type": "output"},
        ]
    }
    assert output.files == [
        SavedFile(
            folder="output",
            subfolder="notes",
            filename=f"day_0000{i + 1}_.txt",
            path=str(harness.staging / f"00000{i + 1}.txt"),
            size=7,
            digest=hash_bytes(b"hello %d" % i),
            mime_type="text/plain",
        )
        for i in range(2)
    ]


def test_the_next_job_continues_the_numbers(harness: Harness) -> None:
    harness.run({"1": node("Save", text="one", prefix="a")}, "1")
    harness.run({"1": node("Save", text="two", prefix="a")}, "1")
    [output] = harness.of_kind(OutputReady)
    assert [f.filename for f in output.files] == ["a_00003_.txt", "a_00004_.txt"]


def test_a_cached_output_has_no_new_files(harness: Harness) -> None:
    prompt = {"1": node("Save", text="hello", prefix="a")}
    harness.run(prompt, "1")
    harness.run(prompt, "1")
    [output] = harness.of_kind(OutputReady)
    assert output.made.cached
    assert output.files == []
    assert output.made.output is not None
    assert output.made.output["files"][0]["filename"] == "a_00001_.txt"


def test_a_cached_output_whose_file_is_gone_is_recomputed(harness: Harness) -> None:
    prompt = {"1": node("Save", text="hello", prefix="a")}
    harness.run(prompt, "1")
    [saved] = harness.of_kind(OutputReady)[0].files[:1]
    harness.gone = {saved.filename}
    harness.run(prompt, "1")
    [asked] = harness.of_kind(CheckFiles)
    assert KeptFile("output", "", saved.filename, saved.digest) in asked.files
    [output] = harness.of_kind(OutputReady)
    assert not output.made.cached
    assert saved.filename not in [file.filename for file in output.files]


def test_a_job_without_space_for_its_files_is_lost_and_does_not_fail(harness: Harness, tmp_path: Path) -> None:
    """Here the folder is a file; what the node raises does not matter."""
    harness.staging = tmp_path / "none"
    harness.staging.touch()
    lost = harness.run({"1": node("Save", text="hello", prefix="a")}, "1")
    assert isinstance(lost, AttemptLost)
    assert "the folder for the job's files is gone" in lost.reason


def test_a_disk_that_is_full_is_not_the_nodes_fault(tmp_path: Path) -> None:
    no_room = OSError(errno.ENOSPC, "No space left on device")
    wrapped = RuntimeError("the encoder failed")
    wrapped.__cause__ = no_room
    for error in (no_room, wrapped):
        assert "no space" in str(storage_failure(error, staging=tmp_path, has_files=False))
    assert storage_failure(RuntimeError("broken"), staging=tmp_path, has_files=True) is None
    assert storage_failure(FileNotFoundError("a.png"), staging=tmp_path / "not there", has_files=False) is None
    assert "gone" in str(storage_failure(RuntimeError("broken"), staging=tmp_path / "not there", has_files=True))


def test_a_file_that_was_reserved_and_not_written_is_an_error(harness: Harness) -> None:
    done = harness.run({"1": node("Forget", text="", prefix="a")}, "1")
    assert done.error is not None
    assert done.error.exception_type == "FileNotFoundError"
    assert done.error.exception_message == "the node reserved the file 'a_00001_.txt' but did not write it\n"
    assert done.error.node_id == "1"


@pytest.mark.parametrize("prefix", ["../a", "/etc/a", "a/../../b", "..", "", "a\x00b", "x" * 250])
def test_a_prefix_cannot_leave_its_folder(harness: Harness, prefix: str) -> None:
    done = harness.run({"1": node("Save", text="", prefix=prefix)}, "1")
    assert done.error is not None
    assert done.error.exception_type == "ValueError"
    assert harness.of_kind(ReserveNames) == []


def test_the_owners_files_are_found_by_the_names_in_the_prompt(harness: Harness, tmp_path: Path) -> None:
    (tmp_path / "blob").write_text("what is in it")
    files = {"a.txt": file_ref(tmp_path / "blob")}
    done = harness.run({"1": node("Deed", what="read_input")}, "1", files=files)
    assert done.outcome is JobState.COMPLETED
    other = harness.run({"1": node("Deed", what="read_input")}, "1", owner="bob")
    assert other.error is not None
    assert other.error.exception_message == "there is no file 'a.txt'\n"


def test_paths_of_this_machine_are_not_in_messages(harness: Harness, tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"\xff")
    files = {"a.txt": file_ref(tmp_path / "blob")}
    (tmp_path / "blob").unlink()
    done = harness.run({"1": node("Deed", what="read_input")}, "1", files=files)
    assert done.error is not None
    assert done.error.exception_message == "[Errno 2] No such file or directory: 'a.txt'\n"


def test_models_are_found_in_the_first_root_that_has_them(tmp_path: Path) -> None:
    for place in ("first/loras/sub", "second/loras/sub", "second/clip"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "second/loras/sub/a.safetensors").touch()
    (tmp_path / "second/clip/t5.safetensors").touch()
    here = context(tmp_path)
    assert here.model_path("loras", "sub/a.safetensors") == tmp_path / "second/loras/sub/a.safetensors"
    (tmp_path / "first/loras/sub/a.safetensors").touch()
    assert here.model_path("loras", "sub/a.safetensors") == tmp_path / "first/loras/sub/a.safetensors"
    assert here.model_path("text_encoders", "t5.safetensors") == tmp_path / "second/clip/t5.safetensors"


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "", "no.safetensors"])
def test_a_name_that_is_not_a_model_is_not_found(tmp_path: Path, name: str) -> None:
    (tmp_path / "first" / "loras").mkdir(parents=True)
    (tmp_path / "secret").touch()
    with pytest.raises(FileNotFoundError):
        context(tmp_path).model_path("loras", name)


def test_an_unknown_folder_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="output or temp"):
        context(tmp_path).open_series("a", folder="input")
