"""The folders that packs work in: whose files are there, and what is taken from them."""

import os
from pathlib import Path

import pytest

from safelight.core.asset import FileName, Folder
from safelight.worker.workspace import Workspace, make_workspace


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "place")


def stored(tmp_path: Path, text: str) -> Path:
    path = tmp_path / f"blob-{text}"
    path.write_text(text)
    return path


def test_a_job_sees_its_files_and_the_next_one_does_not(place: Workspace, tmp_path: Path) -> None:
    place.open({"a.txt": stored(tmp_path, "a"), "sub/b.txt [output]": stored(tmp_path, "b")})
    assert (place.folder("input") / "a.txt").read_text() == "a"
    assert (place.folder("output") / "sub/b.txt").read_text() == "b"
    (place.folder("temp") / "left").touch()
    place.open({})
    assert [path for name in Folder for path in place.folder(name).iterdir()] == []


def test_what_a_pack_does_to_a_given_file_does_not_touch_the_stored_one(place: Workspace, tmp_path: Path) -> None:
    blob = stored(tmp_path, "original")
    place.open({"a.txt": blob})
    (place.folder("input") / "a.txt").write_text("changed")
    assert blob.read_text() == "original"


def test_a_file_that_nobody_can_write_to_is_not_copied(place: Workspace, tmp_path: Path) -> None:
    blob = stored(tmp_path, "large")
    blob.chmod(0o444)
    place.open({"a.txt": blob})
    assert (place.folder("input") / "a.txt").is_symlink() is not os.access(blob, os.W_OK)


def test_names_outside_the_folders_are_skipped(place: Workspace, tmp_path: Path) -> None:
    place.open({"../a.txt": stored(tmp_path, "a"), "..": stored(tmp_path, "b"), "": stored(tmp_path, "c")})
    assert list(place.folder("input").iterdir()) == []


def test_what_was_written_is_what_is_new_or_changed(place: Workspace, tmp_path: Path) -> None:
    place.open({"old.txt [output]": stored(tmp_path, "old"), "changed.txt [output]": stored(tmp_path, "c")})
    (place.folder("output") / "deep/er").mkdir(parents=True)
    (place.folder("output") / "deep/er/new.txt").write_text("new")
    (place.folder("output") / "changed.txt").write_text("now longer")
    (place.folder("temp") / "t.txt").touch()
    (place.folder("input") / "in.txt").touch()
    place.mark(place.folder("output") / "n_00004_.png")
    written = dict(place.written())
    assert list(written) == [
        FileName(Folder.OUTPUT, "", "changed.txt"),
        FileName(Folder.OUTPUT, "deep/er", "new.txt"),
        FileName(Folder.TEMP, "", "t.txt"),
    ]
    for path in written.values():
        place.mark_collected(path)
    assert dict(place.written()) == {}


def test_folders_of_processes_that_are_gone_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left = tmp_path / f"safelight-worker-{os.getuid()}-dead"
    left.mkdir()
    (left / ".lock").touch()
    mine = make_workspace()
    also = make_workspace()
    assert not left.exists()
    assert mine.root.exists()
    assert also.root.exists()


def test_a_file_whose_bytes_are_gone_is_missing(place: Workspace, tmp_path: Path) -> None:
    place.open({"a.txt": tmp_path / "gone", "b.txt": stored(tmp_path, "b")})
    assert [path.name for path in place.folder("input").iterdir()] == ["b.txt"]
