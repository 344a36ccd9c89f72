"""``python -m tests.e2e.page_screenshots``: take the screenshots of the pages and panels for the docs again."""

import json
import tempfile
from pathlib import Path

from playwright.sync_api import Page
from tests.e2e import chromium
from tests.e2e.accounts import become_administrator
from tests.e2e.server import running_server
from tests.e2e.ui import Ui
from tests.e2e.workflows import BLUR, node, workflow

IMAGES = Path(__file__).parents[2] / "docs" / "images"
UNKNOWN = workflow(
    [node(1, "OfTomorrow", "A new node", values=[]), node(2, "OfAPack", "A node of a pack", values=[])], []
)
UNKNOWN["nodes"][0]["properties"] |= {"cnr_id": "comfy-core", "ver": "0.9.2"}
UNKNOWN["nodes"][1]["properties"] |= {"cnr_id": "comfyui-some-pack", "ver": "1.2.3"}


def main() -> None:
    installed = chromium.find()
    assert installed, "Chromium is not installed (Debian: apt-get install chromium)"
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(Path(folder)) as url,
        chromium.started(installed) as browser,
    ):
        page = browser.new_page(viewport={"width": 1200, "height": 760})
        fill(page, url)
        for view, name in (("users", "admin"), ("models", "admin-models"), ("usage", "admin-usage")):
            page.goto(f"{url}/admin#{view}")
            page.locator(f"#view[data-view={view}]").wait_for()
            page.screenshot(path=IMAGES / f"{name}.png")
        page.goto(f"{url}/account")
        page.get_by_role("heading", name="Webhooks").wait_for()
        page.screenshot(path=IMAGES / "account.png")

        ui = Ui(page, url)
        page.set_viewport_size({"width": 1400, "height": 800})
        ui.open()
        ui.drop_workflow(UNKNOWN, Path(folder) / "unknown.json")
        page.get_by_test_id("error-overlay-see-errors").click()
        page.locator(".safelight-missing-nodes li").nth(1).wait_for()
        page.screenshot(path=IMAGES / "missing-nodes.png")


def fill(page: Page, url: str) -> None:
    """An administrator, five users, a workflow for everybody."""
    become_administrator(page, url)
    limits = {"stored_bytes": 5_000_000_000, "running_jobs": 1, "device_s": 7200}
    names = ["anna", "bela", "clara", "david", "emma"]
    assert page.request.post(f"{url}/api/admin/users", data={"names": names, "limits": limits}).ok
    assert page.request.put(f"{url}/api/admin/workflows/Lesson%201", data=json.dumps(BLUR)).ok


if __name__ == "__main__":
    main()
