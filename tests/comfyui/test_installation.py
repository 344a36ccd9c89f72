"""Finding a ComfyUI and its interpreter on disk."""

from pathlib import Path

import pytest

from safelight.comfyui.installation import NotAnInstallation, find, python_folders


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o755)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "ComfyUI"
    folder.mkdir()
    (folder / "main.py").touch()
    return folder


def test_a_folder_without_main_py_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotAnInstallation, match=f"no main.py in '{tmp_path}'"):
        find(tmp_path)


@pytest.mark.parametrize("place", ["venv/bin/python", ".venv/bin/python3", "../python_embeded/python.exe"])
def test_its_environment_is_found(root: Path, place: str) -> None:
    python = program(root / place)
    assert find(root).python == python.parent.resolve() / python.name


def test_the_interpreter_may_be_named_by_its_path_or_its_folder(root: Path, tmp_path: Path) -> None:
    python = program(tmp_path / "env" / "bin" / "python")
    assert find(root, python).python == python
    assert find(root, tmp_path / "env").python == python
    with pytest.raises(NotAnInstallation, match="neither a Python interpreter nor the folder of one"):
        find(root, tmp_path / "nothing")


def test_a_comfyui_without_an_environment_says_how_to_name_one(root: Path) -> None:
    with pytest.raises(NotAnInstallation, match=f"comfyui={root}:/path/to/python"):
        find(root)


def test_its_version_and_its_packs_are_read_from_its_files(root: Path) -> None:
    program(root / "venv" / "bin" / "python")
    (root / "comfyui_version.py").write_text('__version__ = "0.8.0"\n')
    for name in ("pack", "old.disabled", "__pycache__", ".git"):
        (root / "custom_nodes" / name).mkdir(parents=True)
    (root / "custom_nodes" / "one.py").touch()
    (root / "custom_nodes" / "notes.txt").touch()
    found = find(root)
    assert (found.version, found.packs) == ("0.8.0", ["one.py", "pack"])


def test_the_folders_of_an_interpreter_include_what_its_environment_was_made_from(tmp_path: Path) -> None:
    python = program(tmp_path / "base" / "bin" / "python")
    link = tmp_path / "env" / "bin" / "python"
    link.parent.mkdir(parents=True)
    link.symlink_to(python)
    (tmp_path / "env" / "pyvenv.cfg").write_text(f"home = {tmp_path}/other/bin\n")
    assert list(python_folders(link)) == [tmp_path / "env", tmp_path / "base", tmp_path / "other"]
