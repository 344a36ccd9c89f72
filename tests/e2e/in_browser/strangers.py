"""Files that try to run scripts in the server's origin, opened in a real browser: none succeeds."""

from contextlib import suppress

import pytest
from playwright.sync_api import Browser, Error, Page
from tests.e2e.ui import LIMIT_MS

SCRIPT = "localStorage.setItem('owned', location.href)"
XHTML = f'<html xmlns="http://www.w3.org/1999/xhtml"><script>{SCRIPT}</script></html>'
SVG = f'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>{SCRIPT}</script></svg>'
PDF = f"%PDF-1.4\n1 0 obj<</Type/Catalog/OpenAction<</S/JavaScript/JS({SCRIPT})>>>>endobj\ntrailer<</Root 1 0 R>>"
GIF = b"GIF89a" + bytes.fromhex("01000100800000ffffff0000002c00000000010001000002024401003b")
"""A picture of one pixel."""
FILES = {
    "page.html": f"<script>{SCRIPT}</script>".encode(),
    "page.png": f"<!doctype html><script>{SCRIPT}</script>".encode(),
    "page.xhtml": f'<?xml version="1.0"?>{XHTML}'.encode(),
    "drawing.svg": SVG.encode(),
    "drawing.png": f'<?xml version="1.0"?>{SVG}'.encode(),
    "paper.pdf": PDF.encode(),
    "polyglot.gif": GIF + f"<svg/onload={SCRIPT}><script>{SCRIPT}</script>".encode(),
    "polyglot.html": GIF + f"<script>{SCRIPT}</script>".encode(),
    "script.js": SCRIPT.encode(),
    "style.css": f"<script>{SCRIPT}</script>".encode(),
}


LOAD_AS_SCRIPT = """async url => {
    const script = Object.assign(document.createElement('script'), { src: url })
    await new Promise(done => { script.onload = script.onerror = done; document.head.append(script) })
}"""


@pytest.fixture
def page(browser: Browser, server: str) -> Page:
    """A page of the server, whose storage a script in its origin could write."""
    page = browser.new_page()
    page.set_default_timeout(LIMIT_MS)
    page.goto(f"{server}/openapi.json")
    return page


def test_no_upload_runs_as_a_page(page: Page, server: str) -> None:
    for name, content in FILES.items():
        url = upload(page, server, name, content)
        for address in (url, f"{url}&channel=rgb", f"{url}&res=64"):
            with suppress(Error):  # a download opens no page
                page.goto(address)
        page.goto(f"{server}/openapi.json")
        assert page.evaluate("localStorage.getItem('owned')") is None, f"{name} ran"


def test_no_upload_runs_as_a_script(page: Page, server: str) -> None:
    for name in ("script.js", "polyglot.gif", "page.png"):
        url = upload(page, server, f"again-{name}", FILES[name])
        page.goto(f"{server}/openapi.json")
        page.evaluate(LOAD_AS_SCRIPT, url)
        assert page.evaluate("localStorage.getItem('owned')") is None, f"{name} ran"


def test_a_script_of_the_pages_own_would_have_been_seen(page: Page, server: str) -> None:
    page.goto(f"{server}/openapi.json")
    page.evaluate(SCRIPT)
    assert page.evaluate("localStorage.getItem('owned')") == f"{server}/openapi.json"


def upload(page: Page, server: str, name: str, content: bytes) -> str:
    """Its URL among the input files."""
    files = {"image": {"name": name, "mimeType": "image/png", "buffer": content}}
    answer = page.request.post(f"{server}/api/upload/image", multipart=files)
    assert answer.ok, f"the upload of {name} was answered {answer.status}: {answer.text()}"
    return f"{server}/api/view?type=input&filename={answer.json()['name']}"
