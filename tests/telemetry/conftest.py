from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.database import Env, opened


@pytest.fixture
async def env(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Env]:
    async with opened(tmp_path) as db:
        yield Env(db, [])
