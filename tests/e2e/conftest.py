"""A real server, and Chromium looking at it. A request to another host fails the test that made it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright
from tests.e2e.server import running_server
from tests.e2e.ui import CHROMIUM_ARGUMENTS, Ui, find_chromium


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_server(tmp_path_factory.mktemp("server")) as url:
        yield url


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Not for the whole session: playwright keeps an event loop running, beside which no other test can have one."""
    path = find_chromium()
    if path is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def ui(chromium: Browser, server: str) -> Iterator[Ui]:
    """The web UI in a browser profile of its own, opened. Errors that the page reports fail the test at its end."""
    context = chromium.new_context(viewport={"width": 1600, "height": 1000})
    ui = Ui(context.new_page(), server)
    ui.open()
    yield ui
    ui.close()
    assert ui.problems == []
