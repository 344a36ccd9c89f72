"""The unmodified ComfyUI frontend on this server, in a real browser, as a person uses it."""

from pathlib import Path

from PIL import Image, ImageStat
from tests.e2e.ui import Ui
from tests.e2e.workflows import BLUR, INVERT, LONG


def test_a_new_user_sees_a_workflow_that_runs_immediately(ui: Ui) -> None:
    ui.post_json("/api/settings", {"Comfy.TutorialCompleted": False})
    ui.page.evaluate("localStorage.clear()")
    ui.reload()
    assert not ui.page.get_by_role("dialog").is_visible()
    ui.run()
    assert ui.picture_on("SaveImage") == [128, 128]
    assert ui.told_running(), "progress reaches the page while nodes run"
    panel = ui.open_tab("assets")
    panel.locator("img[alt^='first_']").first.wait_for()


def test_without_the_bundled_model_the_first_workflow_needs_none(ui: Ui) -> None:
    """As on a server whose only engine is a ComfyUI."""
    ui.page.route("**/api/models/checkpoints", lambda route: route.fulfill(json=[]))
    ui.page.evaluate("localStorage.clear()")
    ui.reload()
    ui.run()
    assert ui.picture_on("SaveImage") == [256, 256]


def test_a_workflow_from_a_file_is_loaded_and_run(ui: Ui, tmp_path: Path) -> None:
    ui.drop_workflow(BLUR, tmp_path / "blur.json")
    ui.run()
    assert ui.picture_on("SaveImage") == [1600, 900]
    assert {"Blurred", "Saved"} <= ui.told_running()
    assert ui.page.get_by_test_id("workflow-tab").last.inner_text().startswith("blur")
    panel = ui.open_tab("assets")
    panel.locator("img[alt^='field_']").first.wait_for()
    panel.get_by_text("PNG 1600x900").wait_for()


def test_a_picture_is_uploaded_from_a_node_and_used(ui: Ui, tmp_path: Path) -> None:
    Image.new("RGB", (96, 64), (0, 100, 255)).save(tmp_path / "sea.png")
    Image.new("RGB", (32, 32), (90, 90, 90)).save(tmp_path / "first.png")
    ui.upload(tmp_path / "first.png")
    ui.drop_workflow(INVERT, tmp_path / "invert.json")
    with ui.page.expect_file_chooser() as chooser:
        ui.press_widget("LoadImage", "upload")
    chooser.value.set_files(tmp_path / "sea.png")
    ui.wait_for("() => app.graph.nodes.find(n => n.type === 'LoadImage').widgets[0].value === 'sea.png'")
    ui.wait_for("() => app.graph.nodes.find(n => n.type === 'LoadImage').imgs?.[0]?.naturalWidth === 96")
    ui.run()
    assert ui.picture_on("PreviewImage") == [96, 64]
    url = ui.page.evaluate("app.graph.nodes.find(n => n.type === 'PreviewImage').imgs[0].src")
    (tmp_path / "inverted.png").write_bytes(ui.page.request.get(url).body())
    assert ImageStat.Stat(Image.open(tmp_path / "inverted.png").convert("RGB")).mean == [255, 155, 0]
    panel = ui.open_tab("assets")
    panel.get_by_text("Imported").click()
    panel.locator("img[alt^='sea']").first.wait_for()


def test_a_saved_workflow_is_there_after_a_reload(ui: Ui, tmp_path: Path) -> None:
    ui.drop_workflow(BLUR, tmp_path / "draft.json")
    ui.page.keyboard.press("Control+s")
    dialog = ui.page.get_by_role("dialog")
    dialog.get_by_role("textbox").fill("my blur")
    ui.page.keyboard.press("Enter")
    dialog.wait_for(state="hidden")
    ui.wait_for("() => document.title.startsWith('my blur')")
    saved = ui.get_json("/api/userdata/workflows%2Fmy%20blur.json")
    assert sorted(node["title"] for node in saved["nodes"]) == ["A red field", "Blurred", "Saved"]

    ui.page.evaluate("localStorage.clear(); sessionStorage.clear()")  # as on another computer
    ui.reload()
    panel = ui.open_tab("workflows")
    panel.get_by_text("my blur").first.click()
    ui.wait_for("() => app.graph.nodes.map(n => n.title).sort().join() === 'A red field,Blurred,Saved'")


def test_a_running_job_is_cancelled_and_the_next_one_runs(ui: Ui, tmp_path: Path) -> None:
    ui.drop_workflow(LONG, tmp_path / "long.json")
    before = {job["id"] for job in ui.jobs("cancelled")}
    ui.run()
    ui.wait_for("() => window.seenRunning.includes('Sampled')")
    ui.page.get_by_role("button", name="Cancel current run").click()
    ui.wait_for("() => !document.title.startsWith('[')")
    assert len({job["id"] for job in ui.jobs("cancelled")} - before) == 1
    assert ui.jobs("in_progress,pending") == []
    ui.drop_workflow(BLUR, tmp_path / "blur.json")
    ui.run()
    assert ui.picture_on("SaveImage") == [1600, 900]
