"""One real server with a real engine for each module, and the pack with the nodes of the captured graphs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.captures.client import ask
from tests.cli.server import running, wait_for_nodes

collect_ignore_glob = ["packs/*"]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that knows its nodes and has one checkpoint."""
    packs, models = Path(__file__).with_name("packs"), tmp_path_factory.mktemp("models")
    (models / "checkpoints").mkdir()
    (models / "checkpoints" / "sd15_random.safetensors").touch()
    options = ("--custom-nodes", str(packs), "--models-dir", str(models))
    with running(tmp_path_factory.mktemp("data"), *options) as server:
        wait_for_nodes(server.url)
        assert ask(server.url, "GET /object_info/StubImage").json
        yield server.url
