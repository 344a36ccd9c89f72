"""The import lines of popular packs, in a process with the shims and in one without."""

import subprocess
import sys
from pathlib import Path

LINES = Path(__file__).with_name("imports.txt")

TRY = """
import sys, traceback
from safelight.runtime import packs
from safelight.shims.install import install
from safelight.worker.context import worker_context
packs.load(("safelight.nodes",), worker_context())
install()
for line in open(sys.argv[1]):
    try:
        exec(line, {})
    except BaseException as error:
        print(f"{line.strip()}\\n    {type(error).__name__}: {error}")
"""


def run(code: str, *arguments: str) -> str:
    ran = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return ran.stdout


def test_everything_that_popular_packs_import_is_there() -> None:
    assert run(TRY, str(LINES)) == ""


def test_unknown_modules_are_not_invented() -> None:
    code = """
from safelight.shims.install import install
install()
for name in ("nodes.deeper", "comfy_api.latest.nonsense", "comfy_execution.nonsense", "folder_paths_of_others"):
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        print(error)
"""
    assert run(code).splitlines() == [
        "No module named 'nodes.deeper'; 'nodes' is not a package",
        "No module named 'comfy_api.latest.nonsense'",
        "No module named 'comfy_execution.nonsense'",
        "No module named 'folder_paths_of_others'",
    ]


def test_a_worker_without_packs_imports_neither_shims_nor_torch() -> None:
    code = """
import sys
from safelight.runtime import main
print([name for name in sys.modules if name == "torch" or name.startswith("safelight.shims.modules.comfy.")])
print([finder for finder in sys.meta_path if type(finder).__name__ == "ShimFinder"])
"""
    assert run(code).splitlines() == ["[]", "[]"]
