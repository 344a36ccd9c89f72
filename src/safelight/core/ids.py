"""Typed identities. An id that crosses a function border is one of these, never a bare ``str``."""

import re
import secrets
import uuid
from typing import NewType

UserId = NewType("UserId", str)
JobId = NewType("JobId", str)
AssetId = NewType("AssetId", str)
ClientId = NewType("ClientId", str)
WorkflowId = NewType("WorkflowId", str)
VersionId = NewType("VersionId", str)
"""One version of a saved workflow."""
ShareId = NewType("ShareId", str)
"""Whoever knows it may read what was published under it, so it cannot be guessed."""
CallId = NewType("CallId", str)
"""A node inside a prompt; calls made by expansion have dotted ids such as ``3.0.0.1``."""

LOCAL_USER = UserId("local")
"""The one user of a loopback server that has no accounts."""

_JOB_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def new_job_id() -> JobId:
    return JobId(str(uuid.uuid4()))


def new_asset_id() -> AssetId:
    return AssetId(str(uuid.uuid4()))


def new_workflow_id() -> WorkflowId:
    return WorkflowId(str(uuid.uuid4()))


def new_version_id() -> VersionId:
    return VersionId(str(uuid.uuid4()))


def new_share_id() -> ShareId:
    return ShareId(secrets.token_urlsafe(24))


def is_job_id(value: str) -> bool:
    """Whether a client's own ``prompt_id`` may become a job's id: 1-128 of letters, digits and ``. _ : -``."""
    return _JOB_ID.fullmatch(value) is not None
