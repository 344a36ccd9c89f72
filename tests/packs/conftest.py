"""One engine for the tests of a module; the packs are not collected as tests."""

from collections.abc import Iterator

import pytest
from tests.packs.engine import Engine, running

collect_ignore_glob = ["custom_nodes/*"]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with running(tmp_path_factory.mktemp("staging")) as started:
        yield started
