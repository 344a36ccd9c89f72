"""Every query on users' rows requires the owner as an argument, so that it cannot be forgotten."""

import inspect
from collections.abc import Iterator
from types import FunctionType, ModuleType

import pytest

from safelight.db import asset as asset_rows
from safelight.db import feedback as feedback_rows
from safelight.db import job as job_rows
from safelight.db import job_list, owned_assets
from safelight.db import publication as publication_rows
from safelight.db import setting as setting_rows
from safelight.db import userdata as userdata_rows
from safelight.db import workflow as workflow_rows
from safelight.services import (
    asset_access,
    asset_library,
    feedback,
    job,
    named_files,
    publication,
    setting,
    userdata,
    workflow,
)

# Functions without an owner, and why that is right.
EXCEPTIONS = {
    "safelight.db.job.add",  # the summary carries its owner
    "safelight.db.job.replace",  # both summaries carry it, and the statement compares it
    "safelight.db.job.is_taken",  # chooses a job's internal id; no user sees the result
    "safelight.db.asset.add",  # the asset carries its owner
    "safelight.db.asset.assets",  # its rows were selected by their owner
    "safelight.db.asset.drop_unpublished",  # sweeps the files of all users at a start
    "safelight.db.asset.expired",  # finds the assets of all users whose time is over
    "safelight.db.feedback.latest",  # administrators read what all users have written
    "safelight.db.workflow.add",  # the workflow carries its owner
    "safelight.db.workflow.fold",  # runs no query
    "safelight.db.publication.shared",  # knowing the share id is the right to read
    "safelight.db.publication.content_of",  # the same
}


def public_functions(module: ModuleType) -> Iterator[FunctionType]:
    for name, value in vars(module).items():
        if isinstance(value, FunctionType) and value.__module__ == module.__name__ and not name.startswith("_"):
            yield value


def second_parameter(function: FunctionType) -> inspect.Parameter:
    return list(inspect.signature(function).parameters.values())[1]


ROWS = [asset_rows, feedback_rows, job_rows, job_list, owned_assets, publication_rows, setting_rows, userdata_rows]
ROWS += [workflow_rows]


@pytest.mark.parametrize("module", ROWS, ids=lambda m: m.__name__)
def test_every_query_takes_the_owner(module: ModuleType) -> None:
    for function in public_functions(module):
        if f"{module.__name__}.{function.__name__}" not in EXCEPTIONS:
            parameter = second_parameter(function)
            assert (parameter.name, parameter.default) == ("owner_id", inspect.Parameter.empty), function


@pytest.mark.parametrize(
    "module",
    [named_files, asset_access, asset_library, feedback, job, publication, setting, userdata, workflow],
    ids=lambda m: m.__name__,
)
def test_every_service_takes_the_caller(module: ModuleType) -> None:
    for function in public_functions(module):
        parameter = second_parameter(function)
        # The dispatcher acts for the owner of a job that it runs, and passes the owner.
        assert parameter.name in ("who", "owner_id"), function
        assert parameter.default is inspect.Parameter.empty, function


def test_the_exceptions_exist() -> None:
    assert {f"{m.__name__}.{f.__name__}" for m in ROWS for f in public_functions(m)} >= EXCEPTIONS
