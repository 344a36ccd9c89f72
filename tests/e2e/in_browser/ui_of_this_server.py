"""What the web UI says and does differently on this server: accounts, files, models, nodes and help are its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect
from tests.e2e.accounts import accept, become_administrator, invite
from tests.e2e.model_site import model_site
from tests.e2e.server import running_server
from tests.e2e.ui import Ui
from tests.e2e.workflows import BLUR, INVERT, LONG, node, workflow

from safelight.settings import BUNDLED_MODELS

expect.set_options(timeout=60_000)

UNKNOWN_NODES = workflow(
    [node(1, "OfTomorrow", "T", values=[]), node(2, "OfAPack", "P", values=[]), node(3, "OfNobody", "N", values=[])], []
)
UNKNOWN_NODES["nodes"][0]["properties"] |= {"cnr_id": "comfy-core", "ver": "9.1.0"}
UNKNOWN_NODES["nodes"][1]["properties"] |= {"cnr_id": "comfyui-some-pack", "ver": "1.2.3"}
MARKS = ("Runs here", "Needs models", "Does not run here")
BUNDLED = BUNDLED_MODELS / "checkpoints" / "safelight-miniature.safetensors"
MISSING_MODEL = workflow([node(1, "CheckpointLoaderSimple", "Loaded", values=["from-the-site.safetensors"])], [])
MISSING_MODEL["nodes"][0]["properties"]["models"] = [
    {
        "name": "from-the-site.safetensors",
        "url": "https://huggingface.co/some/model/resolve/main/from-the-site.safetensors",
        "directory": "checkpoints",
    }
]


@pytest.fixture
def shared_server(tmp_path: Path) -> Iterator[str]:
    """A server of its own: tests turn its accounts on."""
    with running_server(tmp_path) as url:
        yield url


def test_the_person_icon_opens_the_accounts_page(ui: Ui) -> None:
    icon = ui.page.get_by_test_id("login-button")
    icon.hover()
    with ui.page.context.expect_page() as opened:
        icon.click()
    expect(opened.value).to_have_title("Safelight: my account")
    assert not ui.page.get_by_role("dialog").is_visible()
    assert not ui.page.get_by_test_id("login-button-popover").is_visible()


def test_a_file_deleted_in_the_assets_panel_is_gone_from_the_server(ui: Ui) -> None:
    ui.run()
    ui.picture_on("SaveImage")
    panel = ui.open_tab("assets")
    before = len(ui.get_json("/api/assets?include_tags=output&limit=500")["assets"])
    panel.locator("img[alt^='first_']").first.click(button="right")
    ui.page.get_by_role("menuitem", name="Delete").click()
    ui.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    ui.page.get_by_text("Deletion successful").first.wait_for()
    assert len(ui.get_json("/api/assets?include_tags=output&limit=500")["assets"]) < before
    ui.problems.clear()  # the node on the canvas asks for its picture again


def test_the_model_library_lists_the_models_of_the_server(ui: Ui) -> None:
    panel = ui.open_tab("model-library")
    panel.get_by_text("checkpoints").first.click()
    panel.get_by_text("safelight-miniature").wait_for()
    ui.problems[:] = [problem for problem in ui.problems if "/experiment/models/preview/" not in problem]


def test_missing_nodes_are_told_with_what_would_run_them(ui: Ui, tmp_path: Path) -> None:
    ui.drop_workflow(UNKNOWN_NODES, tmp_path / "unknown.json")
    ui.page.get_by_test_id("error-overlay-see-errors").click()
    card = ui.page.get_by_test_id("missing-node-card")
    expect(card).to_contain_text("OfTomorrow: of ComfyUI itself. A worker with ComfyUI 9.1.0 or newer")
    expect(card).to_contain_text("The engines of this server are Safelight")
    expect(card).to_contain_text("OfAPack: of the node pack comfyui-some-pack (version 1.2.3)")
    expect(card).to_contain_text("OfNobody: the workflow does not say which node pack")
    text = ui.page.locator("body").inner_text()
    for wrong in ("pip install", "comfyui-manager", "--enable-manager", "update to use", "GitHub"):
        assert wrong not in text, wrong


def test_a_missing_model_is_downloaded_to_the_server(browser: Browser, tmp_path: Path) -> None:
    with model_site(BUNDLED.read_bytes()) as site, running_server(tmp_path, SAFELIGHT_HUGGINGFACE_URL=site) as url:
        ui = Ui(browser.new_page(viewport={"width": 1600, "height": 1000}), url)
        ui.open()
        ui.drop_workflow(MISSING_MODEL, tmp_path / "missing.json")
        ui.page.get_by_test_id("error-overlay-see-errors").click()
        ui.page.get_by_test_id("missing-model-download").click()
        dialog = ui.page.get_by_role("dialog")
        expect(dialog).to_contain_text("checkpoints/from-the-site.safetensors")
        expect(dialog).to_contain_text("License: apache-2.0")
        expect(dialog).to_contain_text(f"Size: {BUNDLED.stat().st_size / 1e6:.1f} MB")
        dialog.get_by_role("button", name="Confirm").click()
        ui.page.locator("#safelight-imports progress").wait_for()
        ui.wait_for(
            "() => app.graph.nodes[0].widgets[0].options.values.includes('from-the-site.safetensors')"
            " && !document.querySelector('[data-testid=missing-model-importable-rows]')"
        )
        assert ui.problems == []


def test_templates_that_run_here_come_first_and_the_rest_is_marked(ui: Ui) -> None:
    ui.page.evaluate("app.extensionManager.setting.set('Comfy.Templates.SortBy', 'recommended')")
    ui.page.evaluate("app.extensionManager.command.execute('Comfy.BrowseTemplates')")
    cards = ui.page.get_by_role("dialog").locator("[data-testid^='template-workflow-']")
    cards.first.wait_for()
    texts = cards.all_inner_texts()
    kinds = [next(mark for mark in MARKS if mark in text) for text in texts]
    assert kinds[0] == "Runs here"
    assert kinds == sorted(kinds, key=MARKS.index)


def test_about_and_help_name_this_server_and_its_pages(ui: Ui) -> None:
    ui.page.get_by_role("button", name="Help Center").click()
    menu = ui.page.locator(".help-center-menu")
    for foreign in ("Discord", "Github", "Manager Extension"):
        expect(menu.get_by_text(foreign, exact=True)).to_be_hidden()
    with ui.page.context.expect_page() as opened:
        menu.get_by_text("Safelight help").click()
    expect(opened.value).to_have_title("Safelight: help")
    opened.value.get_by_label("Message").fill("The cat model is missing.")
    opened.value.get_by_role("button", name="Send").click()
    expect(opened.value.get_by_text("Your message is sent.")).to_be_visible()
    ui.page.evaluate("app.extensionManager.command.execute('Comfy.Help.AboutComfyUI')")
    about = ui.page.get_by_test_id("about-panel")
    expect(about).to_contain_text("Safelight 0.")
    expect(about.get_by_text("Discord")).to_be_hidden()


def test_nothing_of_the_page_reaches_another_host(ui: Ui) -> None:
    answer = ui.page.evaluate(
        """async () => {
            const byFetch = await fetch('https://example.org/a').then(() => 'sent', () => 'refused')
            const byXhr = await new Promise(done => {
                const request = new XMLHttpRequest()
                request.onload = () => done('sent')
                request.onerror = () => done('refused')
                request.open('GET', 'https://example.org/b')
                request.send()
            })
            return [byFetch, byXhr]
        }"""
    )
    assert answer == ["refused", "refused"]
    with ui.page.context.expect_page() as opened:
        ui.page.evaluate("void window.open('https://github.com/Comfy-Org/ComfyUI/issues', '_blank')")
    expect(opened.value).to_have_title("Safelight: help")


def test_a_full_quota_says_what_is_full_and_where_to_make_room(
    browser: Browser, shared_server: str, tmp_path: Path
) -> None:
    page = browser.new_page(viewport={"width": 1600, "height": 1000})
    become_administrator(page, shared_server)
    link = invite(page, shared_server, "anna")
    users = page.request.get(f"{shared_server}/api/admin/users").json()["users"]
    anna = next(user["id"] for user in users if user["name"] == "anna")
    page.context.clear_cookies()
    accept(page, link)
    ui = Ui(page, shared_server)
    ui.open()
    Image.new("RGB", (32, 32), (90, 90, 90)).save(tmp_path / "first.png")
    ui.upload(tmp_path / "first.png")
    ui.drop_workflow(INVERT, tmp_path / "invert.json")
    root = browser.new_page()
    root.goto(f"{shared_server}/login")
    root.get_by_label("Name").fill("root")
    root.get_by_label("Password").fill("a long enough password")
    root.get_by_role("button", name="Sign in").click()
    root.wait_for_url(f"{shared_server}/")
    answer = root.request.patch(f"{shared_server}/api/admin/users/{anna}", data={"limits": {"stored_bytes": 5000}})
    assert answer.ok, answer.text()
    Image.effect_noise((400, 400), 90).save(tmp_path / "large.png")
    with page.expect_file_chooser() as chooser:
        ui.press_widget("LoadImage", "upload")
    chooser.value.set_files(tmp_path / "large.png")
    page.get_by_text("Your storage is full.").first.wait_for()
    expect(page.get_by_text('delete files in the panel "Assets"').first).to_be_visible()
    assert "too large" not in page.locator("body").inner_text()


def test_a_workflow_is_shared_by_link_and_opened_by_another_user(
    browser: Browser, shared_server: str, tmp_path: Path
) -> None:
    page = browser.new_page(viewport={"width": 1600, "height": 1000})
    become_administrator(page, shared_server)
    link = invite(page, shared_server, "anna")
    ui = Ui(page, shared_server)
    ui.open()
    ui.drop_workflow(BLUR, tmp_path / "blur.json")
    page.evaluate("void app.extensionManager.command.execute('Safelight.Share')")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox").fill("my blur")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("Everybody with an account on this server")
    shared = dialog.get_by_role("textbox").input_value()
    page.keyboard.press("Escape")
    page.evaluate("void app.extensionManager.command.execute('Safelight.Give')")
    expect(dialog).to_contain_text("All users find it among the templates")
    dialog.get_by_role("textbox").fill("Lesson 1")
    page.keyboard.press("Enter")
    page.get_by_text("The workflow is given to everybody").first.wait_for()

    anna = Ui(browser.new_context(viewport={"width": 1600, "height": 1000}).new_page(), shared)
    accept(anna.page, link)
    anna.page.goto(shared)
    anna.page.get_by_text("Shared by root").first.wait_for()
    anna.page.get_by_role("button", name="Open workflow").click()
    anna.wait_for("() => window.app?.graph?.nodes.map(n => n.title).sort().join() === 'A red field,Blurred,Saved'")
    anna.page.evaluate("void app.extensionManager.command.execute('Comfy.BrowseTemplates')")
    templates = anna.page.get_by_role("dialog")
    templates.get_by_placeholder("Search").first.fill("Lesson 1")
    templates.get_by_text("Lesson 1").first.wait_for()
    answer = anna.page.request.put(f"{shared_server}/api/admin/workflows/Mine", data=BLUR)
    assert answer.status == 403


def test_the_queue_shows_place_and_estimate_and_no_rows_for_what_never_began(ui: Ui, tmp_path: Path) -> None:
    ui.drop_workflow(LONG, tmp_path / "long.json")
    ui.run()
    ui.wait_for("() => window.seenRunning.includes('Sampled')")
    ui.run()
    ui.open_tab("safelight-queue")
    rows = ui.page.locator(".safelight-queue li")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("Runs now.")
    expect(rows.last).to_contain_text("Next of your jobs.")
    [waiting] = ui.jobs("pending")
    [running] = ui.jobs("in_progress")
    ui.post_json(f"/api/jobs/{waiting['id']}/cancel", {})
    ui.post_json(f"/api/jobs/{running['id']}/cancel", {})
    expect(ui.page.get_by_text("None of your jobs waits or runs.")).to_be_visible()
    shown = ui.page.evaluate(
        "async () => (await (await app.api.fetchApi('/jobs?status=completed,failed,cancelled')).json())"
        ".jobs.map(job => job.id)"
    )
    assert running["id"] in shown
    assert waiting["id"] not in shown


def test_the_assets_search_finds_what_was_typed_among_older_files(ui: Ui, tmp_path: Path) -> None:
    for name in ("a lighthouse at night.png", *(f"mountain {number}.png" for number in range(120))):
        Image.new("RGB", (8, 8), (90, 90, 90)).save(tmp_path / name)
        ui.upload(tmp_path / name)
    panel = ui.open_tab("assets")
    panel.get_by_text("Imported").click()
    panel.locator("img[alt^='mountain 119']").first.wait_for()
    panel.locator("input").first.fill("lighthouse at")
    expect(panel.locator("img[alt^='a lighthouse at night']")).to_have_count(1)
    expect(panel.locator("img[alt^='mountain']")).to_have_count(0)
