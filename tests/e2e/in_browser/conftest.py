"""A real server and Chromium. A request to another host fails the test that made it."""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser
from tests.e2e import chromium
from tests.e2e.server import running_server
from tests.e2e.ui import Ui

SERVER = "SAFELIGHT_TEST_SERVER"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server that the environment names (see ``tests.e2e.test_in_browser``), or one for the file."""
    if url := os.environ.get(SERVER):
        yield url
    else:
        with running_server(tmp_path_factory.mktemp("server")) as url:
            yield url


@pytest.fixture
def browser(server: str) -> Iterator[Browser]:
    """A browser for each test, so that a hanging one does not affect the next."""
    path = chromium.find()
    if path is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    with chromium.started(path) as browser:
        yield browser


@pytest.fixture
def ui(browser: Browser, server: str) -> Iterator[Ui]:
    """The web UI in a browser. Errors that the page reports fail the test at its end."""
    ui = Ui(browser.new_page(viewport={"width": 1600, "height": 1000}), server)
    ui.open()
    yield ui
    assert ui.problems == []
