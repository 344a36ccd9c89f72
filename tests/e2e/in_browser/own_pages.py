"""The administrator's page and the account's page, as people use them: by clicks, on a narrow screen, by keyboard."""

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect
from tests.api.identity_providers import real_provider, set_claims
from tests.e2e.accounts import PASSWORD, accept, become_administrator, invite
from tests.e2e.model_site import model_site
from tests.e2e.server import running_server
from tests.e2e.workflows import BLUR

from safelight.settings import BUNDLED_MODELS

expect.set_options(timeout=60_000)
SAMPLED = {"steps": 10_000, "seed": 1, "cfg": 2.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
HANGING = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "safelight-miniature.safetensors"}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": "a red circle"}},
    "3": {"class_type": "EmptyLatentImage", "inputs": {"width": 128, "height": 128, "batch_size": 1}},
    "4": {
        "class_type": "KSampler",
        "inputs": {"model": ["1", 0], "positive": ["2", 0], "negative": ["2", 0], "latent_image": ["3", 0], **SAMPLED},
    },
    "5": {"class_type": "PreviewAny", "inputs": {"source": ["4", 0]}},
}


VIEWS = ("now", "jobs", "users", "usage", "models", "workflows", "packs", "keys", "messages", "audit", "log")
MODEL = BUNDLED_MODELS / "checkpoints" / "safelight-miniature.safetensors"


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[str]:
    """A server of its own: these tests turn its accounts on."""
    more = {"SAFELIGHT_WEB": "0", "SAFELIGHT_EXAMPLE_INPUT": "0"}
    with (
        model_site(MODEL.read_bytes()) as site,
        running_server(tmp_path, SAFELIGHT_HUGGINGFACE_URL=site, **more) as url,
    ):
        yield url


@pytest.fixture
def page(browser: Browser, own_server: str) -> Iterator[Page]:
    """A page. Errors of its scripts, and requests to another host, fail the test."""
    problems: list[str] = []
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.set_default_timeout(60_000)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda sent: None if sent.url.startswith(own_server) else problems.append(sent.url))
    yield page
    assert problems == []


def check_accessible(page: Page) -> None:
    found = [rule for rule in Axe().run(page).response["violations"] if rule["impact"] in ("serious", "critical")]
    assert found == [], json.dumps(found, indent=1)


def test_a_class_is_set_up_and_a_hung_job_ended(page: Page, browser: Browser, own_server: str, tmp_path: Path) -> None:
    began = time.monotonic()
    become_administrator(page, own_server)

    page.goto(f"{own_server}/admin#users")
    page.get_by_label("Names").fill("\n".join(f"student-{number}" for number in range(30)))
    page.get_by_label("Running jobs").last.fill("1")
    page.get_by_label("Device hours").last.fill("2")
    page.get_by_role("button", name="Invite").click()
    expect(page.get_by_text("30 invited")).to_be_visible()
    links = page.locator("code").all_inner_texts()
    assert len(links) == 30
    check_accessible(page)

    student = browser.new_page()
    accept(student, links[7])
    student.goto(f"{own_server}/account")
    expect(student.get_by_role("heading", name="student-7")).to_be_visible()
    check_accessible(student)
    student.get_by_label("What it is for").fill("script")
    student.get_by_role("button", name="Create a key").click()
    key = student.locator("code").inner_text()
    submit(own_server, key)

    page.goto(f"{own_server}/admin#jobs")
    page.get_by_role("heading", name="Jobs of all users").wait_for()
    row = wait_for_row(page, "running", "student-7", "in_progress")
    check_accessible(page)
    row.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("being cancelled").first).to_be_visible()
    wait_for_row(page, "ended", "student-7", "cancelled")

    page.goto(f"{own_server}/admin#models")
    page.get_by_label("URL of the file").fill("https://huggingface.co/some/model/resolve/main/lesson.safetensors")
    page.get_by_role("button", name="Size and license").click()
    expect(page.get_by_text("License: apache-2.0")).to_be_visible()
    page.get_by_role("button", name="Import", exact=True).click()
    model = page.get_by_role("row").filter(has_text="lesson.safetensors")
    expect(model).to_contain_text("apache-2.0")
    check_accessible(page)

    page.goto(f"{own_server}/admin#workflows")
    (tmp_path / "Lesson 1.json").write_text(json.dumps(BLUR))
    page.get_by_label("File, as the web UI exports it").set_input_files(tmp_path / "Lesson 1.json")
    page.get_by_role("button", name="Give to everybody").click()
    expect(page.get_by_role("row").filter(has_text="Lesson 1")).to_contain_text("root")
    assert student.request.get(f"{own_server}/api/workflow_templates").json() == {"For everybody": ["Lesson 1"]}

    page.goto(f"{own_server}/admin#housekeeping")
    page.get_by_role("button", name="Run it now").click()
    expect(page.get_by_text("Housekeeping has run.")).to_be_visible()
    check_accessible(page)
    assert time.monotonic() - began < 180


def wait_for_row(page: Page, kind: str, *texts: str) -> Locator:
    """Choose a list of jobs until it has a row with all these texts."""
    row = page.get_by_role("row")
    for text in texts:
        row = row.filter(has_text=text)
    deadline = time.monotonic() + 60
    while not row.count() and time.monotonic() < deadline:  # the page itself reads this list only when it is chosen
        page.get_by_label("Show").select_option("queued")
        page.get_by_label("Show").select_option(kind)
        page.wait_for_timeout(400)
    expect(row).to_be_visible(timeout=1_000)
    return row


def submit(url: str, key: str) -> None:
    headers = {"x-api-key": key, "content-type": "application/json"}
    sent = urllib.request.Request(f"{url}/api/prompt", json.dumps({"prompt": HANGING}).encode(), headers)
    with urllib.request.urlopen(sent, timeout=60):
        pass


def test_every_view_is_accessible_and_fits_a_narrow_screen(page: Page, own_server: str) -> None:
    become_administrator(page, own_server)
    for width in (1200, 390):
        page.set_viewport_size({"width": width, "height": 844})
        for view in VIEWS:
            page.goto(f"{own_server}/admin#{view}")
            page.locator(f"#view[data-view={view}]").wait_for()
            check_accessible(page)
            overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert overflow <= 0, f"{view} is wider than a screen of {width} pixels"
    page.goto(f"{own_server}/account")
    page.get_by_role("heading", name="Delete my data").wait_for()
    check_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


def test_a_user_is_renamed_and_deleted_with_all_data(page: Page, browser: Browser, own_server: str) -> None:
    become_administrator(page, own_server)
    anna = browser.new_context().new_page()
    accept(anna, invite(page, own_server, "anna"))
    anna.goto(f"{own_server}/account")
    anna.get_by_label("Address (https)").fill("https://example.org/told")
    anna.get_by_role("button", name="Add a webhook").click()
    expect(anna.get_by_role("cell", name="https://example.org/told")).to_be_visible()
    expect(anna.get_by_text("this browser")).to_be_visible()
    page.goto(f"{own_server}/admin#usage")
    page.goto(f"{own_server}/admin#users")
    row = page.get_by_role("row").filter(has=page.get_by_role("cell", name="anna", exact=True))
    row.get_by_text("More").click()
    row.get_by_label("New name").fill("anna.b")
    row.get_by_role("button", name="Rename").click()
    expect(page.get_by_text("anna is anna.b now.")).to_be_visible()
    row = page.get_by_role("row").filter(has=page.get_by_role("cell", name="anna.b", exact=True))
    row.get_by_text("More").click()
    row.get_by_role("button", name="Delete anna.b").click()
    expect(page.get_by_text("anna.b is deleted")).to_be_visible()
    anna.goto(f"{own_server}/account")
    anna.wait_for_url("**/login")
    page.goto(f"{own_server}/admin#audit")
    expect(page.get_by_role("row").filter(has_text="user.delete")).to_contain_text("anna.b")


def test_a_user_deletes_their_own_data(page: Page, browser: Browser, own_server: str) -> None:
    become_administrator(page, own_server)
    anna = browser.new_context().new_page()
    accept(anna, invite(page, own_server, "anna"))
    anna.goto(f"{own_server}/account")
    anna.get_by_text("Delete my account with all data").click()
    anna.get_by_label("Current password, to delete everything").fill(PASSWORD)
    anna.get_by_role("button", name="Delete everything").click()
    anna.wait_for_url("**/login")
    users = page.request.get(f"{own_server}/api/admin/users").json()["users"]
    assert [user["name"] for user in users] == ["root"]


def test_a_user_is_disabled_and_enabled_by_keyboard_on_a_narrow_screen(page: Page, own_server: str) -> None:
    become_administrator(page, own_server)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{own_server}/admin#users")
    page.get_by_label("Names").fill("anna")
    page.get_by_role("button", name="Invite").press("Enter")
    expect(page.get_by_text("1 invited")).to_be_visible()
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0, "the page is wider than the screen"
    anna = page.get_by_role("row").filter(has=page.get_by_role("cell", name="anna", exact=True)).first
    anna.get_by_role("button", name="Disable").press("Enter")
    expect(page.get_by_text("anna is disabled")).to_be_visible()
    anna.get_by_role("button", name="Enable").press("Enter")
    expect(page.get_by_text("anna may sign in again")).to_be_visible()
    check_accessible(page)


def test_a_password_is_changed_and_a_stranger_sees_nothing(page: Page, browser: Browser, own_server: str) -> None:
    become_administrator(page, own_server)
    page.goto(f"{own_server}/account")
    page.get_by_label("Current password", exact=True).fill("not this one")
    page.get_by_label("New password", exact=True).fill(PASSWORD + "!")
    page.get_by_label("New password, again").fill(PASSWORD + "!")
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_text("the current password is wrong")).to_be_visible()
    page.get_by_label("Current password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_text("The password is changed")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login")
    page.get_by_label("Name").fill("root")
    page.get_by_label("Password").fill(PASSWORD + "!")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{own_server}/")
    stranger = browser.new_page()
    stranger.goto(f"{own_server}/admin")
    stranger.wait_for_url("**/login")


def test_a_user_signs_in_at_an_identity_provider_and_out_again(browser: Browser, tmp_path: Path) -> None:
    with (
        real_provider() as issuer,
        running_server(
            tmp_path,
            SAFELIGHT_WEB="0",
            SAFELIGHT_OIDC_ISSUER=issuer,
            SAFELIGHT_OIDC_CLIENT_ID="safelight",
            SAFELIGHT_OIDC_CLIENT_SECRET="a secret",
            SAFELIGHT_OIDC_NAME="the school",
        ) as url,
    ):
        set_claims(issuer, "anna-1", preferred_username="anna")
        page = browser.new_page()
        page.goto(f"{url}/login")
        check_accessible(page)
        page.get_by_role("link", name="Sign in with the school").click()
        page.wait_for_url(f"{issuer}/**")
        page.get_by_role("textbox").first.fill("anna-1")
        page.keyboard.press("Enter")
        page.wait_for_url(f"{url}/")
        page.goto(f"{url}/account")
        expect(page.get_by_role("heading", name="anna", exact=True)).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url(f"{issuer}/**")
        page.goto(f"{url}/account")
        page.wait_for_url("**/login")
