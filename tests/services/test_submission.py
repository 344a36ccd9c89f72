"""Submitting without HTTP: what another API would do, and files that are removed while a prompt is checked."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.api.engine import READY
from tests.api.prompts import picture, text
from tests.database import ANNA, NOW, Env
from tests.services.files import new_file

from safelight.core.asset import Asset, parse_file_name
from safelight.core.clock import SystemClock
from safelight.core.engine_kind import OWN, EngineKind
from safelight.core.errors import Conflict, InvalidPrompt, Unavailable
from safelight.core.ids import UserId
from safelight.core.pack import PackStatus, pack_statuses
from safelight.core.worker import SlotId
from safelight.db.transaction import Transaction
from safelight.services import asset_library as library
from safelight.services import job as jobs
from safelight.services import named_files
from safelight.services.catalogue import LiveCatalogue
from safelight.services.model import ModelFile, ModelFiles
from safelight.services.submission import Draft, SubmissionRules, Submissions

pytestmark = pytest.mark.anyio

T = TypeVar("T")
WITH_FILE = picture() | {"1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}}


@dataclass
class Workers:
    is_here: bool = True
    violations: Mapping[str, str | None] = field(default_factory=dict)
    unusable: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)

    def packs(self) -> Mapping[SlotId, Sequence[PackStatus]]:
        return {SlotId("a"): pack_statuses([], self.failed)}

    async def validate_inputs(
        self,
        owner_id: UserId,
        engine: EngineKind,
        *,
        prompt: Mapping[str, Any],
        targets: Sequence[str],
        files: Mapping[str, Asset],
    ) -> Mapping[str, str | None]:
        return self.violations

    async def examine_models(self, files: Sequence[ModelFile]) -> Mapping[str, str]:
        return {file.name: self.unusable[file.name] for file in files if file.name in self.unusable}


class Here:
    """Runs the work where it is called."""

    async def run(self, owner_id: UserId | None, work: Callable[[], T], *, is_heavy: bool) -> T:
        return work()


def make_submissions(env: Env, *, workers: Workers | None = None, is_known: bool = True) -> Submissions:
    models = ModelFiles([Path("/nonexistent")])
    catalogue = LiveCatalogue(models)
    if is_known:
        catalogue.publish(OWN, READY.nodes, digest="d")
    return Submissions(
        db=env.db,
        clock=SystemClock(),
        catalogue=catalogue,
        models=models,
        workers=workers or Workers(),
        cpu=Here(),
        rules=SubmissionRules(),
    )


async def upload(env: Env) -> Asset:
    file = new_file(parse_file_name("a.png"), b"picture")
    return await env.do(named_files.upload, ANNA, new=file, overwrite=False, now=NOW)


async def count_jobs(env: Env) -> int:
    return await env.read(jobs.remaining, ANNA)


async def test_a_draft_becomes_a_queued_job(env: Env) -> None:
    submissions = make_submissions(env)
    prepared = await submissions.prepare(ANNA, Draft(prompt=text(), job_id="mine"))
    assert await count_jobs(env) == 0, "preparing changes nothing"
    accepted = await submissions.accept(ANNA, prepared)
    assert (accepted.job.id, accepted.node_errors) == ("mine", {})
    assert await count_jobs(env) == 1


async def test_a_file_that_is_removed_after_the_check_refuses_the_job(env: Env) -> None:
    asset = await upload(env)
    submissions = make_submissions(env)
    prepared = await submissions.prepare(ANNA, Draft(prompt=WITH_FILE))
    assert prepared.files == {"a.png"}
    await env.do(library.remove, ANNA, asset_id=asset.id)
    with pytest.raises(Conflict, match=r"'a\.png' was removed meanwhile"):
        await submissions.accept(ANNA, prepared)
    assert await count_jobs(env) == 0
    with pytest.raises(InvalidPrompt):
        await submissions.prepare(ANNA, Draft(prompt=WITH_FILE))


async def test_removing_and_submitting_at_once_leaves_no_job_without_its_file(env: Env) -> None:
    """Whichever transaction is first, an inserted job found its file."""
    submissions = make_submissions(env)
    asset = await upload(env)
    prepared = await submissions.prepare(ANNA, Draft(prompt=WITH_FILE))
    had_file: list[bool] = []

    def remove(tx: Transaction) -> None:
        had_file.append(jobs.remaining(tx, ANNA) == 1)
        library.remove(tx, ANNA, asset_id=asset.id)

    accepted, _ = await asyncio.gather(submissions.accept(ANNA, prepared), env.db.write(remove), return_exceptions=True)
    assert had_file == [not isinstance(accepted, Conflict)]


async def test_secrets_need_the_server_that_has_the_workers(env: Env) -> None:
    submissions = make_submissions(env, workers=Workers(is_here=False))
    draft = Draft(prompt=text(), extra_data={"api_key_comfy_org": "k"})
    with pytest.raises(Unavailable, match="keys"):
        await submissions.prepare(ANNA, draft)
    await submissions.prepare(ANNA, Draft(prompt=text()))


async def test_while_no_node_is_known_submissions_wait(env: Env) -> None:
    submissions = make_submissions(env, is_known=False)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(submissions.prepare(ANNA, Draft(prompt=text())), timeout=0.05)
