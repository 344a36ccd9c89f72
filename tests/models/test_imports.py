"""The import cost of diffusion for a worker that doesn't use it, and that the pinned packages fit together."""

import importlib.metadata
import subprocess
import sys

import pytest


def test_a_worker_that_runs_no_model_does_not_import_the_libraries() -> None:
    code = (
        "import sys, safelight.nodes; from safelight.sdk.registry import discover;"
        "nodes = discover(safelight.nodes); [n.node_schema() for n in nodes.values()];"
        "print(sorted({'diffusers', 'transformers', 'tokenizers', 'torchsde'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_torchvision_is_not_installed() -> None:
    """PyPI's build of it is for CUDA; with a CPU build of torch, diffusers can't be imported if it is installed."""
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("torchvision")
