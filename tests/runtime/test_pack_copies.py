"""Copies of node packs: what an engine imports, whatever an earlier engine left."""

import os
from pathlib import Path

import pytest

from safelight.runtime.pack_copies import MAX_COPIED_BYTES, PackCopies, copy_packs


@pytest.fixture
def packs(tmp_path: Path) -> Path:
    folder = tmp_path / "operator"
    (folder / "lamp/data").mkdir(parents=True)
    (folder / "lamp/__init__.py").write_text("VERSION = 1")
    (folder / "lamp/data/defaults.json").write_text("{}")
    (folder / "lamp/.git").mkdir()
    (folder / "lamp/.git/config").write_text("")
    (folder / "single.py").write_text("VERSION = 1")
    with (folder / "lamp/weights.bin").open("wb") as file:
        file.truncate(MAX_COPIED_BYTES + 1)
    return folder


def start(packs: Path, to: Path, *in_place: str) -> tuple[Path, PackCopies]:
    copies = copy_packs([packs], to=to, in_place=in_place)
    [folder] = copies.folders
    return folder, copies


def test_a_copy_has_the_code_and_nothing_else(packs: Path, tmp_path: Path) -> None:
    folder, copies = start(packs, tmp_path / "slot")
    assert folder.name == "custom_nodes"
    assert (folder / "lamp/__init__.py").read_text() == "VERSION = 1"
    assert not (folder / "lamp/__init__.py").is_symlink()
    assert (folder / "lamp/weights.bin").resolve() == packs / "lamp/weights.bin", "large files are not copied"
    assert not (folder / "lamp/.git").exists()
    assert copies.original(str(folder / "lamp/web")) == str(packs / "lamp/web")
    assert copies.original("/elsewhere") == "/elsewhere"


def test_data_is_carried_over_and_code_is_not(packs: Path, tmp_path: Path) -> None:
    folder, _ = start(packs, tmp_path / "slot")
    lamp = folder / "lamp"
    (lamp / "__init__.py").write_text("VERSION = 'evil'")
    (lamp / "more.py").write_text("evil")
    (lamp / "lib.so").write_bytes(b"evil")
    (lamp / "cache.pkl").write_bytes(b"evil")
    (lamp / "tool").write_text("#!/bin/sh")
    (lamp / "__pycache__").mkdir()
    (lamp / "__pycache__/__init__.cpython-311.pyc").write_bytes(b"evil")
    (lamp / "users/anna").mkdir(parents=True)
    (lamp / "users/anna/settings.json").write_text('{"a": 1}')
    (lamp / "data/defaults.json").write_text('{"changed": true}')
    (lamp / "link.json").symlink_to("/etc/passwd")
    (folder / "another").mkdir()
    (folder / "another/__init__.py").write_text("evil")
    (folder / "another/state.json").write_text("{}")
    folder, _ = start(packs, tmp_path / "slot")
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())
    assert found == [
        *("lamp/__init__.py", "lamp/data/defaults.json", "lamp/users/anna/settings.json", "lamp/weights.bin"),
        "single.py",
    ]
    assert (folder / "lamp/__init__.py").read_text() == "VERSION = 1"
    assert (folder / "lamp/users/anna/settings.json").read_text() == '{"a": 1}'
    assert (folder / "lamp/data/defaults.json").read_text() == '{"changed": true}'
    assert (packs / "lamp/data/defaults.json").read_text() == "{}"


def test_what_the_pack_did_not_change_follows_the_operator(packs: Path, tmp_path: Path) -> None:
    start(packs, tmp_path / "slot")
    (packs / "lamp/data/defaults.json").write_text('{"new": 1}')
    (packs / "lamp/__init__.py").write_text("VERSION = 2")
    folder, _ = start(packs, tmp_path / "slot")
    assert (folder / "lamp/data/defaults.json").read_text() == '{"new": 1}'
    assert (folder / "lamp/__init__.py").read_text() == "VERSION = 2"


def test_an_interrupted_start_loses_no_data(packs: Path, tmp_path: Path) -> None:
    folder, _ = start(packs, tmp_path / "slot")
    (folder / "lamp/state.json").write_text("kept")
    folder.rename(folder.with_name("old"))
    (folder / "lamp").mkdir(parents=True)  # and half of the next copy
    folder, _ = start(packs, tmp_path / "slot")
    assert (folder / "lamp/state.json").read_text() == "kept"
    assert (folder / "lamp/__init__.py").read_text() == "VERSION = 1"


def test_links_that_an_earlier_engine_left_lead_nowhere(packs: Path, tmp_path: Path) -> None:
    folder, _ = start(packs, tmp_path / "slot")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "state.json").write_text("outside")
    (folder / "lamp/data/defaults.json").unlink()
    (folder / "lamp/data").rmdir()
    (folder / "lamp/data").symlink_to(outside)
    os.chmod(folder / "lamp", 0)
    folder, _ = start(packs, tmp_path / "slot")
    assert not (folder / "lamp/data").is_symlink()
    assert (folder / "lamp/data/defaults.json").read_text() == "{}"
    assert sorted(path.name for path in outside.iterdir()) == ["state.json"]


def test_packs_that_the_operator_exempts_are_used_in_place(packs: Path, tmp_path: Path) -> None:
    folder, _ = start(packs, tmp_path / "slot", "lamp", "single")
    assert (folder / "lamp").resolve() == packs / "lamp"
    assert (folder / "single.py").resolve() == packs / "single.py"


def test_a_pack_can_be_a_link_and_contain_a_cycle_of_links(packs: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "__init__.py").write_text("VERSION = 3")
    (elsewhere / "self").symlink_to(elsewhere)
    (packs / "linked").symlink_to(elsewhere)
    folder, _ = start(packs, tmp_path / "slot")
    assert (folder / "linked/__init__.py").read_text() == "VERSION = 3"
    assert not (folder / "linked").is_symlink()


def test_without_a_folder_for_copies_packs_are_imported_in_place(packs: Path) -> None:
    assert copy_packs([packs], to=None, in_place=()).folders == [packs]


def test_without_space_for_copies_packs_are_used_in_place(packs: Path, tmp_path: Path) -> None:
    (tmp_path / "slot").write_text("a file")
    folder, _ = start(packs, tmp_path / "slot")
    assert folder == packs
