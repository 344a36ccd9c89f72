"""Node packs as a user of the web UI meets them."""

from collections.abc import Iterator

import pytest
from tests.e2e.server import running_server
from tests.e2e.ui import Ui
from tests.packs.engine import PACKS


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own, with the packs of the tests, one of which cannot be loaded."""
    with running_server(tmp_path_factory.mktemp("server"), SAFELIGHT_CUSTOM_NODES=str(PACKS)) as url:
        yield url


def test_a_user_is_told_which_packs_failed_and_why(ui: Ui) -> None:
    ui.page.get_by_text("Node packs with errors").first.wait_for()
    ui.page.get_by_role("button", name="Node packs with errors").click()
    ui.page.get_by_text("the library 'a_library_that_nobody_has' is not installed").wait_for()
