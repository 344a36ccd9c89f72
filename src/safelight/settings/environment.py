"""What the server passes on of its own environment. With ``load.py``, the only code that reads the environment."""

import os
from collections.abc import Mapping, Sequence


def process_environment() -> Mapping[str, str]:
    """The environment of this process, for callers that start other processes and choose what to pass on."""
    return dict(os.environ)


def library_paths(environment: Mapping[str, str]) -> Sequence[str]:
    """Folders of shared libraries that the environment names for programs."""
    variables = ("LD_LIBRARY_PATH", "CUDA_HOME", "CUDA_PATH", "ROCM_PATH")
    return [path for name in variables for path in environment.get(name, "").split(os.pathsep) if os.path.isabs(path)]
