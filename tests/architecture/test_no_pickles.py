"""CVE-2026-68771 (GHSA-6p72-9j26-4rmx) and its kind: nothing in Safelight makes objects of a pickle.

ComfyUI's ``LoadTrainingDataset`` gave ``torch.load`` a file that anybody could upload, without ``weights_only``, until
0.26. A pickle may call any function when it is loaded.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = sorted((Path(__file__).parents[2] / "src/safelight").glob("**/*.py"))
READER = "pickled_weights.py"
"""The one module with an unpickler: it knows a dozen names and calls none (``tests/media/test_pickled_weights.py``)."""
UNPICKLING = {"pickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
LOADERS = {"torch": "load", "numpy": "load", "np": "load", "pandas": "read_pickle"}


def unpickles(code: str) -> Iterator[str]:
    """Imports of what unpickles, and calls of libraries' functions that may."""
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Import(names):
                yield from [name.name for name in names if name.name.split(".")[0] in UNPICKLING]
            case ast.ImportFrom(module=str(module), names=names):
                yield from [module] if module.split(".")[0] in UNPICKLING else []
                yield from [f"{module}.{n.name}" for n in names if LOADERS.get(module) == n.name]
            case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=attr)) if LOADERS.get(owner) == attr:
                yield f"{owner}.{attr}"


def test_nothing_unpickles() -> None:
    found = {path.name: names for path in SOURCES if (names := [*unpickles(path.read_text("utf-8"))])}
    assert found == {READER: ["pickle"]}


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from pickle import loads",
        "import torch\ntorch.load(f)",
        "from torch import load",
        "import dill",
    ],
)
def test_what_unpickles_is_found(code: str) -> None:
    assert [*unpickles(code)]
