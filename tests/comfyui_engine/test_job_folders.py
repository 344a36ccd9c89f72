"""The folders of one job's files."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from safelight.comfyui_engine.agent.job_folders import FileName, JobFolders, follow_context, other_folders, path_of


@pytest.fixture
def folders(tmp_path: Path) -> JobFolders:
    made = JobFolders({name: tmp_path / name for name in ("input", "output", "temp")})
    made.clear()
    return made


def given(tmp_path: Path) -> Path:
    source = tmp_path / "given"
    source.write_text("given")
    return source


def test_files_are_where_nodes_look_for_their_names_and_are_not_new(folders: JobFolders, tmp_path: Path) -> None:
    source = given(tmp_path)
    folders.fill({"sub/a.txt": source, "b.txt [output]": source, "c.txt [temp]": source, "d.txt [input]": source})
    found = sorted(str(p.relative_to(tmp_path)) for top in folders.tops.values() for p in top.rglob("*.txt"))
    assert found == ["input/d.txt", "input/sub/a.txt", "output/b.txt", "temp/c.txt"]
    assert folders.written() == []


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "..", "", ".", "a\nb", "..\\x"])
def test_a_name_that_would_leave_its_folder_is_left_out(folders: JobFolders, tmp_path: Path, name: str) -> None:
    assert path_of(name, folders.tops) is None
    folders.fill({name: given(tmp_path)})
    assert list(folders.tops["input"].iterdir()) == []


def test_a_file_cannot_be_changed_through_what_a_node_finds(folders: JobFolders, tmp_path: Path) -> None:
    source = given(tmp_path)
    folders.fill({"a.txt": source})
    (folders.tops["input"] / "a.txt").write_text("changed")
    assert source.read_text() == "given"


def test_a_file_has_the_same_time_in_each_job(folders: JobFolders, tmp_path: Path) -> None:
    source = given(tmp_path)
    os.utime(source, ns=(1, 1_000_000_000_123_456_789))
    folders.fill({"a.txt": source})
    assert (folders.tops["input"] / "a.txt").stat().st_mtime_ns == 1_000_000_000_123_456_789


def test_what_was_written_is_found_once_and_again_if_it_changes(folders: JobFolders) -> None:
    folders.fill({})
    path = folders.tops["output"] / "sub" / "a.txt"
    path.parent.mkdir()
    path.write_text("one")
    (folders.tops["temp"] / "b.txt").write_text("two")
    names = [name for name, _ in folders.written()]
    assert names == [FileName("output", "sub", "a.txt"), FileName("temp", "", "b.txt")]
    folders.mark(path)
    assert [name.filename for name, _ in folders.written()] == ["b.txt"]
    path.write_text("another")
    assert [name.filename for name, _ in folders.written()] == ["a.txt", "b.txt"]


def test_links_are_not_outputs(folders: JobFolders) -> None:
    folders.fill({})
    os.symlink("/etc/hostname", folders.tops["output"] / "a.txt")
    os.symlink("/etc", folders.tops["output"] / "etc")
    assert folders.written() == []


def test_after_a_job_nothing_is_left(folders: JobFolders, tmp_path: Path) -> None:
    folders.fill({"sub/a.txt": given(tmp_path)})
    os.symlink(tmp_path, folders.tops["output"] / "outside")
    folders.clear()
    assert [list(top.iterdir()) for top in folders.tops.values()] == [[], [], []]
    assert (tmp_path / "given").exists()


def test_inputs_are_validated_in_folders_of_their_own(folders: JobFolders, tmp_path: Path) -> None:
    comfyui = SimpleNamespace(
        **{f"get_{name}_directory": lambda top=top: str(top) for name, top in folders.tops.items()}
    )
    follow_context(comfyui)
    others = {name: tmp_path / "other" / name for name in folders.tops}
    with other_folders(others):
        assert comfyui.get_input_directory() == str(others["input"])
    assert comfyui.get_input_directory() == str(folders.tops["input"])
