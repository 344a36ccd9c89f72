"""The environment of service tests: a real database of each kind."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.database import Env, opened

from safelight.core.event import Event


@pytest.fixture
async def env(tmp_path: Path, anyio_backend: str, each_database: str) -> AsyncIterator[Env]:
    events: list[Event] = []
    async with opened(tmp_path, on_commit=events.extend) as db:
        yield Env(db, events)
