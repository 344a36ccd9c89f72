"""``python -m tests.e2e.screenshot [FILE]``: the picture of the web UI that the README shows, taken anew."""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright
from tests.e2e.server import running_server
from tests.e2e.ui import CHROMIUM_ARGUMENTS, Ui, find_chromium

DEFAULT = Path(__file__).parents[2] / "docs" / "images" / "ui.png"


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    with tempfile.TemporaryDirectory() as folder, running_server(Path(folder)) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=CHROMIUM_ARGUMENTS)
        ui = Ui(browser.new_page(viewport={"width": 1600, "height": 1000}), url)
        ui.open()
        ui.run()
        ui.picture_on("SaveImage")
        ui.page.get_by_test_id("close-minimap-button").click()
        done = ui.page.get_by_text("Job completed")
        done.wait_for()
        done.wait_for(state="hidden")
        ui.page.screenshot(path=path)
        browser.close()
    print(path)


if __name__ == "__main__":
    main()
