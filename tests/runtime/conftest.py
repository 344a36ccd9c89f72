"""Fixtures for jobs in this process."""

from pathlib import Path

import pytest
from tests.runtime.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "staging", model_roots=(tmp_path / "models",))
