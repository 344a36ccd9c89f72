"""Fixtures for jobs in this process."""

from pathlib import Path

import pytest
from tests.runtime.harness import Harness


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    return Harness(tmp_path / "staging", model_roots=(tmp_path / "models",))
