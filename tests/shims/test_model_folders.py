"""Model folders as packs see them."""
# ruff: noqa: RUF005 (packs add lists so)

from pathlib import Path

import pytest

from safelight.sdk.v1 import adapt
from safelight.shims.model_folders import FileList, files_of, find, table
from safelight.shims.modules import folder_paths
from safelight.shims.modules.utils.extra_config import load_extra_path_config


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("loras/a.safetensors", "loras/sub/b.safetensors", "loras/readme.txt", "clip/c.sft", "secret.pt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_files_are_listed_by_folder_under_old_names_too(root: Path) -> None:
    folders = table([root], root)
    assert files_of(folders, "loras") == ["a.safetensors", "sub/b.safetensors"]
    assert files_of(folders, "text_encoders") == files_of(folders, "clip") == ["c.sft"]
    with pytest.raises(KeyError):
        files_of(folders, "nonsense")


@pytest.mark.parametrize(
    ("name", "file", "found"),
    [
        ("loras", "sub/b.safetensors", "loras/sub/b.safetensors"),
        ("clip", "c.sft", "clip/c.sft"),
        ("loras", "../secret.pt", None),
        ("loras", "/etc/passwd", None),
        ("loras", "missing.pt", None),
        ("nonsense", "a.pt", None),
    ],
)
def test_files_are_found_inside_their_folder(root: Path, name: str, file: str, found: str | None) -> None:
    path = find(table([root], root), name, file)
    assert path == (str(root / found) if found else None)


def test_packs_can_add_folders(root: Path) -> None:
    folders = table([root], root)
    folders["mine"] = ([str(root)], {".pt"})
    folders.add("mine", str(root / "loras"), is_default=True)
    assert folders["mine"][0] == [str(root / "loras"), str(root)]
    assert files_of(folders, "mine") == ["secret.pt"]


def test_a_combo_of_model_files_carries_its_folder_and_the_packs_choices(root: Path) -> None:
    files = files_of(table([root], root), "loras")

    class Loader:
        FUNCTION = "run"
        INPUT_TYPES = classmethod(lambda cls: {"required": {"lora": (["None"] + files,), "other": (files + ["x"], {})}})

        def run(self) -> None: ...

    assert ["None"] + files == ["None", "a.safetensors", "sub/b.safetensors"]
    inputs = adapt(Loader, node_id="Loader").node_schema().inputs
    assert [dict(i.config) for i in inputs] == [
        {"options": ["None"], "model_folder": "loras"},
        {"options": ["x"], "model_folder": "loras"},
    ]
    assert isinstance(files, FileList)


def test_a_pack_adds_the_folders_of_its_own_yaml(tmp_path: Path) -> None:
    (tmp_path / "extra.yaml").write_text("mine:\n  base_path: sub\n  loras: a\n")
    before = list(folder_paths.get_folder_paths("loras"))
    load_extra_path_config(str(tmp_path / "extra.yaml"))
    assert folder_paths.get_folder_paths("loras") == [*before, str(tmp_path / "sub/a")]
    folder_paths.folder_names_and_paths["loras"][0].remove(str(tmp_path / "sub/a"))
