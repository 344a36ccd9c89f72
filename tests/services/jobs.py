"""Helpers for tests: submit, claim and complete a job."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tests.database import NOW, Env

from safelight.core.event import NodeCall
from safelight.core.job import Fence, JobError, JobState, JobSummary
from safelight.core.output import Output
from safelight.core.pool import QueueKey
from safelight.core.user import Principal
from safelight.services import attempt as attempts
from safelight.services import job as jobs
from safelight.services.job import SubmitJob

PROMPT = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "cat.png"}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "out"}},
}


def call(node: str) -> NodeCall:
    return NodeCall(node, node, None, node)


def picture(name: str, folder: str = "output", *, node: str = "2") -> Output:
    return call(node), {"images": [{"filename": name, "subfolder": "", "type": folder}]}


async def submit(
    env: Env, who: Principal, *, job_id: str | None = None, now: datetime = NOW, **words: Any
) -> JobSummary:
    command = SubmitJob(prompt=PROMPT, targets=["2"], job_id=job_id, **{"extra_data": {}} | words)
    return await env.do(jobs.submit, who, command=command, now=now)


async def claim(env: Env, who: Principal, *, now: datetime = NOW) -> Fence:
    """Claim the owner's next job and return its fence."""
    job = (await env.do(attempts.claim_next, keys=[QueueKey(who.user_id)], now=now)).job
    assert job is not None
    return Fence(job.id, job.summary.attempt)


async def complete(
    env: Env,
    fence: Fence,
    *,
    outcome: JobState = JobState.COMPLETED,
    outputs: Sequence[Output] = (),
    now: datetime = NOW,
) -> JobSummary:
    error = JobError("ValueError", "no", "1", "LoadImage") if outcome is JobState.FAILED else None
    return await env.do(attempts.finish, fence, outcome=outcome, error=error, outputs=outputs, now=now)
