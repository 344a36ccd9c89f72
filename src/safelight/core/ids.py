"""Typed identities. An id that crosses a function border is one of these, never a bare ``str``."""

import re
import secrets
import uuid
from typing import NewType

UserId = NewType("UserId", str)
JobId = NewType("JobId", str)
"""Unique among all jobs. If two owners choose the same id, one of them also contains its owner (:func:`own_job_id`)."""
AssetId = NewType("AssetId", str)
ClientId = NewType("ClientId", str)
WorkflowId = NewType("WorkflowId", str)
VersionId = NewType("VersionId", str)
"""One version of a saved workflow."""
ShareId = NewType("ShareId", str)
"""Anyone who knows it may read what is published under it, so it must be impossible to guess."""
CallId = NewType("CallId", str)
"""A node inside a prompt; calls made by expansion have dotted ids such as ``3.0.0.1``."""

LOCAL_USER = UserId("local")
"""The one user of a loopback server that has no accounts."""

_OF = "~"
"""Separates a chosen id from its owner; a chosen id cannot contain it."""
_JOB_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def new_job_id() -> JobId:
    return JobId(str(uuid.uuid4()))


def own_job_id(owner_id: UserId, chosen: str) -> JobId:
    """The id of a job whose owner chose ``chosen``, which another owner's job has already."""
    return JobId(f"{chosen}{_OF}{owner_id}")


def shown_job_id(job_id: JobId) -> str:
    """The id that the owner sees: the one that they chose, or the generated one."""
    return job_id.partition(_OF)[0]


def job_ids_shown_as(owner_id: UserId, shown: str) -> tuple[JobId, JobId]:
    """The ids that a job may have which its owner sees as ``shown``."""
    return JobId(shown), own_job_id(owner_id, shown)


def new_asset_id() -> AssetId:
    return AssetId(str(uuid.uuid4()))


def new_workflow_id() -> WorkflowId:
    return WorkflowId(str(uuid.uuid4()))


def new_version_id() -> VersionId:
    return VersionId(str(uuid.uuid4()))


def new_share_id() -> ShareId:
    return ShareId(secrets.token_urlsafe(24))


def is_job_id(value: str) -> bool:
    """Whether a client's ``prompt_id`` can be a job's id: 1-128 letters, digits and ``. _ : -``."""
    return _JOB_ID.fullmatch(value) is not None
