"""A desk at a real database of each kind."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.database import Desk, opened

from safelight.core.event import Event


@pytest.fixture
async def desk(tmp_path: Path, anyio_backend: str, each_database: str) -> AsyncIterator[Desk]:
    events: list[Event] = []
    async with opened(tmp_path, on_commit=events.extend) as db:
        yield Desk(db, events)
