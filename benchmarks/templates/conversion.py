"""API graphs of templates: the pinned web UI loads a template in headless Chromium and writes what it would submit.

A node whose type the server lacks comes out without its type, so only templates whose types are all there are
converted. A graph is kept as a file; its name has the digest of the workflow, of the server's list of nodes and of the
web UI's version.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.templates.catalogue import Template
from playwright.sync_api import Page, sync_playwright

Graph = dict[str, dict[str, Any]]

LIMIT_MS = 120_000
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]

_CONVERT = """async workflow => {
    await app.loadGraphData(workflow, true, false)
    return (await app.graphToPrompt()).output
}"""


class NotConverted(Exception):
    """The web UI refused a template; the message is its own."""


def converted(
    url: str, templates: Iterable[Template], *, browser: str, cache: Path, version: str
) -> Iterator[tuple[Template, Graph | NotConverted]]:
    """``browser``: the path of Chromium. ``version``: what the graphs depend on besides the workflows."""
    cache.mkdir(parents=True, exist_ok=True)
    waiting = []
    for template in templates:
        path = cache / f"{template.name}.{_digest(template, version)}.json"
        if path.is_file():
            yield template, json.loads(path.read_text("utf-8"))
        else:
            waiting.append((template, path))
    if not waiting:
        return
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=ARGUMENTS)
        page = chromium.new_page()
        page.set_default_timeout(LIMIT_MS)
        _open(page, url)
        for template, path in waiting:
            try:
                graph = page.evaluate(_CONVERT, dict(template.workflow))
            except Exception as error:  # the page reports every failure of its scripts as one type
                yield template, NotConverted(str(error).splitlines()[0])
                _open(page, url)
                continue
            path.write_text(json.dumps(graph), "utf-8")
            yield template, graph
        chromium.close()


def _open(page: Page, url: str) -> None:
    page.goto(url)
    page.wait_for_function("() => window.app?.graph?.nodes.length > 0")


def _digest(template: Template, version: str) -> str:
    text = json.dumps(template.workflow, sort_keys=True) + version
    return hashlib.sha256(text.encode()).hexdigest()[:16]
