"""Two jobs never get the same number for their files, whenever they request it and whichever ends first."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.database import ANNA, BEN, opened

from safelight.core.asset import Folder
from safelight.core.ids import JobId
from safelight.db.engine import Database
from safelight.dispatch.attempts.names import NameCounters
from safelight.dispatch.files.outputs import FilenameSequence

pytestmark = pytest.mark.anyio

OURS = FilenameSequence(ANNA.user_id, Folder.OUTPUT, "", "out")
A, B, C = JobId("a"), JobId("b"), JobId("c")


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    async with opened(tmp_path) as db:
        yield db


async def test_concurrent_jobs_get_different_numbers(db: Database) -> None:
    names = NameCounters(db)
    firsts = await asyncio.gather(*(names.reserve(OURS, job_id=JobId(f"j{n}"), count=3) for n in range(8)))
    assert sorted(firsts) == [1 + 3 * n for n in range(8)]


async def test_the_end_of_one_job_leaves_the_numbers_of_another_in_use(db: Database) -> None:
    """None of their files has a row yet."""
    names = NameCounters(db)
    assert await names.reserve(OURS, job_id=A, count=2) == 1
    assert await names.reserve(OURS, job_id=B, count=2) == 3
    names.release(A)
    assert await names.reserve(OURS, job_id=C, count=1) == 5
    names.release(C)
    assert await names.reserve(OURS, job_id=B, count=1) == 6
    names.release(B)
    assert await names.reserve(OURS, job_id=A, count=1) == 1  # the released numbers were never used


async def test_numbers_given_by_an_earlier_server_are_not_given_again(db: Database) -> None:
    names = NameCounters(db)
    await asyncio.gather(names.restore(OURS, job_id=A, last=7), names.restore(OURS, job_id=B, last=4))
    assert await names.reserve(OURS, job_id=C, count=1) == 8
    other = FilenameSequence(BEN.user_id, Folder.OUTPUT, "", "out")
    assert await names.reserve(other, job_id=C, count=1) == 1
