"""Files that a node writes, as its owner sees them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from safelight.comfyui_engine.agent.job_folders import JobFolders
from safelight.comfyui_engine.agent.outputs import Collected, Outputs


@pytest.fixture
def folders(tmp_path: Path) -> JobFolders:
    made = JobFolders({name: tmp_path / name for name in ("input", "output", "temp")})
    made.fill({})
    return made


def outputs(folders: JobFolders, tmp_path: Path, *, first: int | None = 7) -> Outputs:
    paths = (tmp_path / f"staged{n}" for n in range(100))
    job = SimpleNamespace(reserve=lambda *_: first, new_path=lambda extension: next(paths))
    digests = SimpleNamespace(describe=lambda path, filename: ("d" * 64, "text/plain"))
    return Outputs(job, folders, digests)  # type: ignore[arg-type]


def write(folders: JobFolders, folder: str, *names: str) -> None:
    for name in names:
        path = folders.tops[folder] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def test_names_beside_a_file_follow_it_and_paths_of_this_machine_are_hidden(
    folders: JobFolders, tmp_path: Path
) -> None:
    write(folders, "output", "sub/clip_00001.mp4", "sub/clip_00001.png")
    film: dict[str, Any] = {
        "filename": "clip_00001.mp4",
        "subfolder": "sub",
        "type": "output",
        "workflow": "clip_00001.png",
    }
    film["fullpath"] = str(folders.tops["output"] / "sub" / "clip_00001.mp4")
    collecting = outputs(folders, tmp_path)
    found = collecting.collect({"gifs": [film]}, takes_unnamed=True)
    shown = found.output
    assert shown is not None
    assert shown["gifs"] == [
        {
            "filename": "clip_00007.mp4",
            "subfolder": "sub",
            "type": "output",
            "workflow": "clip_00007.png",
            "fullpath": "output/sub/clip_00007.mp4",
        }
    ]
    assert [entry["filename"] for entry in shown["files"]] == ["clip_00007.png"]
    assert [file["filename"] for file in found.files] == ["clip_00007.mp4", "clip_00007.png"]
    assert [name.filename for name in found.unnamed] == ["clip_00007.png"]
    assert film["filename"] == "clip_00001.mp4", "ComfyUI may show it again from its cache"
    assert collecting.renamed({"gifs": [film]}, found.names, found.unnamed) == shown


def test_a_cached_file_of_which_no_name_is_known_is_not_shown(folders: JobFolders, tmp_path: Path) -> None:
    cached = {
        "images": [{"filename": "a_00001_.png", "type": "output"}, {"filename": "b.png", "type": "input"}],
        "n": [1],
    }
    shown = outputs(folders, tmp_path).renamed(cached, {}, [])
    assert shown == {"images": [{"filename": "b.png", "type": "input"}], "n": [1]}


def test_unnamed_files_wait_while_another_node_may_have_written_them(folders: JobFolders, tmp_path: Path) -> None:
    write(folders, "output", "mine.txt", "whose.txt")
    found = outputs(folders, tmp_path)
    files = found.collect({"files": [{"filename": "mine.txt", "type": "output"}]}, takes_unnamed=False).files
    assert [file["filename"] for file in files] == ["mine.txt"]
    files = found.collect(None, takes_unnamed=True).files
    assert [file["filename"] for file in files] == ["whose.txt"]


def test_hidden_files_and_unnamed_temporary_ones_are_the_nodes_own(folders: JobFolders, tmp_path: Path) -> None:
    write(folders, "output", ".lock", ".cache/x")
    write(folders, "temp", "scratch.bin")
    assert outputs(folders, tmp_path).collect(None, takes_unnamed=True) == Collected(None, [], [])


def test_nothing_is_reported_once_the_job_is_being_cancelled(folders: JobFolders, tmp_path: Path) -> None:
    write(folders, "output", "a_00001_.txt")
    found = outputs(folders, tmp_path, first=None)
    assert found.collect({"text": ["x"]}, takes_unnamed=True) == Collected({"text": ["x"]})
    assert found.failure is None


def test_a_file_that_cannot_be_stored_ends_the_job(folders: JobFolders, tmp_path: Path) -> None:
    write(folders, "output", "a.txt")
    found = outputs(folders, tmp_path / "missing")
    found.collect(None, takes_unnamed=True)
    assert isinstance(found.failure, FileNotFoundError)
