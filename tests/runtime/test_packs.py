"""Finding nodes: a broken pack only loses its own nodes."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from safelight.core.upload_mark import INPUT_LISTING, upload_mark
from safelight.runtime import packs
from safelight.worker.context import WorkerContext, set_worker_context, worker_context
from safelight.worker.workspace import Workspace

V1 = """
class {name}:
    CATEGORY = "x"
    RETURN_TYPES = ("INT",)
    FUNCTION = "run"
    @classmethod
    def INPUT_TYPES(cls):
        {types}
    def run(self): return (1,)
"""


@pytest.fixture(autouse=True)
def modules() -> Iterator[None]:
    """Each test imports the modules that packs see anew, as a worker does, and leaves none behind."""
    before = dict(sys.modules)
    for name in before:
        if name == "folder_paths" or name.startswith("safelight.shims.modules"):
            del sys.modules[name]
    yield
    for name in set(sys.modules) - set(before):
        del sys.modules[name]
    sys.modules.update(before)


def v1(name: str, types: str = "return {}") -> str:
    return V1.format(name=name, types=types)


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_a_pack_is_a_package_or_a_module(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        {
            "My.Pack-1/__init__.py": "from .inner import A\nNODE_CLASS_MAPPINGS = {'A': A}\n"
            "NODE_DISPLAY_NAME_MAPPINGS = {'A': 'An A'}\nWEB_DIRECTORY = './web'",
            "My.Pack-1/inner.py": v1("A"),
            "My.Pack-1/web/a.js": "",
            "single.py": v1("B") + "NODE_CLASS_MAPPINGS = {'B': B}",
            "_private/__init__.py": "raise AssertionError",
            ".hidden.py": "raise AssertionError",
            "off.disabled/__init__.py": "raise AssertionError",
            "notes.txt": "",
            "empty/readme.md": "",
        },
    )
    library = packs.load((), WorkerContext(custom_nodes=[folder, tmp_path / "missing"]))
    assert sorted(library.nodes) == ["A", "B"]
    assert library.catalogue["A"].display_name == "An A"
    assert library.catalogue["A"].module == "custom_nodes.My.Pack-1"
    assert library.web_directories == {"My.Pack-1": str(tmp_path / "My.Pack-1/web")}
    assert library.failed == {}


def test_broken_packs_are_reported_and_the_others_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(
        tmp_path,
        {
            "a_syntax.py": "def",
            "b_import.py": "import no_such_module",
            "c_exit.py": "import sys; sys.exit('not here')",
            "d_nothing.py": "",
            "e_node.py": v1("Bad", "raise ValueError('no types')")
            + v1("Good")
            + "NODE_CLASS_MAPPINGS = {'Bad': Bad, 'Good': Good}",
            "f_function.py": "class F:\n    FUNCTION = 'gone'\n    INPUT_TYPES = dict\nNODE_CLASS_MAPPINGS = {'F': F}",
        },
    )
    library = packs.load((), WorkerContext(custom_nodes=[folder]))
    assert list(library.nodes) == ["Good"]
    assert library.failed["a_syntax"].startswith("SyntaxError")
    assert library.failed["b_import"] == "ModuleNotFoundError: No module named 'no_such_module'"
    assert library.failed["c_exit"] == "SystemExit: not here"
    assert library.failed["d_nothing"] == "it defines no nodes"
    assert library.failed["e_node: Bad"] == "ValueError: no types"
    assert "FUNCTION" in library.failed["f_function: F"]
    assert "no_such_module" in capsys.readouterr().err


def test_the_first_node_of_a_name_is_kept(tmp_path: Path) -> None:
    text = v1("A") + "NODE_CLASS_MAPPINGS = {'A': A}"
    library = packs.load((), WorkerContext(custom_nodes=[write(tmp_path, {"first.py": text, "second.py": text})]))
    assert library.catalogue["A"].module == "custom_nodes.first"
    assert library.failed == {"second": "a node 'A' already exists"}


def test_a_pack_can_use_the_sdk(tmp_path: Path) -> None:
    text = """
from safelight.sdk import Node, NodeOutput, Schema, io
class Twice(Node):
    '''Doubles a number.'''
    @classmethod
    def define_schema(cls): return Schema(node_id="Twice", inputs=[io.Int.Input("a")], outputs=[io.Int.Output()])
    @classmethod
    def execute(cls, a): return NodeOutput(2 * a)
"""
    library = packs.load((), WorkerContext(custom_nodes=[write(tmp_path, {"ours.py": text})]))
    assert library.catalogue["Twice"].description == "Doubles a number."
    assert library.catalogue["Twice"].module == "custom_nodes.ours"


def test_if_a_module_cannot_be_imported_only_its_nodes_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    node = (
        "from safelight.sdk import Node, Schema\n"
        "class {0}(Node):\n    define_schema = classmethod(lambda cls: Schema(node_id='{0}'))\n"
    )
    write(
        tmp_path,
        {
            "trial_nodes/__init__.py": "",
            "trial_nodes/good.py": node.format("Good"),
            "trial_nodes/bad.py": "import no_such_module",
            "trial_nodes/deeper/__init__.py": "",
            "trial_nodes/deeper/fine.py": node.format("Fine"),
        },
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    library = packs.load(("trial_nodes",), WorkerContext(custom_nodes=()))
    assert sorted(library.nodes) == ["Fine", "Good"]
    assert list(library.failed) == ["trial_nodes.bad"]
    assert "no_such_module" in capsys.readouterr().err


def test_a_combo_of_the_input_folders_files_says_which_it_lists(tmp_path: Path) -> None:
    listing = "import os, folder_paths; top = folder_paths.get_input_directory(); listed = sorted(os.listdir(top)); "
    combos = {
        "Pictures": "[f for f in listed if f.endswith(('.png', '.gif'))], {'default': listed[0]}",
        "Everything": "['none'] + [f for f in listed if os.path.isfile(os.path.join(top, f))],",
        "Deep": "[os.path.relpath(os.path.join(w, n), top) for w, _, ns in os.walk(top) for n in ns if '.wav' in n],",
        "Folders": "[f for f in listed if os.path.isdir(os.path.join(top, f))],",
        "Other": "['a', 'b'],",
    }
    nodes = "".join(
        v1(name, f"{listing}return {{'required': {{'file': ({value})}}}}") + f"    INPUTS = {name!r}\n"
        for name, value in combos.items()
    )
    mappings = ", ".join(f"{name!r}: {name}" for name in combos)
    folder = write(tmp_path / "packs", {"lists.py": f"{nodes}\nNODE_CLASS_MAPPINGS = {{{mappings}}}"})
    worker = WorkerContext(custom_nodes=[folder], _workspace=Workspace(tmp_path / "workspace"))
    before = worker_context()
    set_worker_context(worker)
    try:
        library = packs.load((), worker)
    finally:
        set_worker_context(before)
    assert library.failed == {}

    def listing(*extensions: str, deep: bool = False, folders: bool = False) -> dict[str, Any]:
        stated = {"extensions": list(extensions), "deep": deep, "folders": folders}
        return {"options": [], INPUT_LISTING: stated}

    found = {name: schema.inputs[0] for name, schema in library.catalogue.items()}
    assert found["Pictures"].config == listing(".gif", ".png")
    assert found["Everything"].config["options"] == ["none"]
    assert (mark := upload_mark(found["Everything"])) is not None
    assert mark.offers_all
    assert found["Deep"].config == listing(".wav", deep=True)
    assert found["Folders"].config == listing(folders=True)
    assert found["Other"].config == {"options": ["a", "b"]}
    assert list((tmp_path / "workspace/input").iterdir()) == []
