"""``python -m tests.e2e.screenshot [FILE]``: take the screenshot of the web UI for the README again."""

import sys
import tempfile
from pathlib import Path

from tests.e2e import chromium
from tests.e2e.server import running_server
from tests.e2e.ui import Ui

DEFAULT = Path(__file__).parents[2] / "docs" / "images" / "ui.png"


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    installed = chromium.find()
    assert installed, "Chromium is not installed (Debian: apt-get install chromium)"
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(Path(folder)) as url,
        chromium.started(installed) as browser,
    ):
        ui = Ui(browser.new_page(viewport={"width": 1600, "height": 1000}), url)
        ui.open()
        ui.run()
        ui.picture_on("SaveImage")
        ui.page.get_by_test_id("close-minimap-button").click()
        done = ui.page.get_by_text("Job completed")
        done.wait_for()
        done.wait_for(state="hidden")
        ui.page.screenshot(path=path)
    print(path)


if __name__ == "__main__":
    main()
