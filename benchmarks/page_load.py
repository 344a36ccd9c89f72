"""``python -m benchmarks.page_load [--url URL]``: the network traffic of the web UI's start, cold and warm.

Counts requests and the bytes that Chromium received for them (including headers), and the time until the workflow is on
the canvas. On loopback the time is the browser's own work; on a slower connection the bytes add to it.
"""

import argparse
import json
from contextlib import ExitStack
from typing import Any

from benchmarks.own_server import own_server
from playwright.sync_api import BrowserContext
from tests.e2e import chromium


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="a running server (default: start one)")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        url = arguments.url or stack.enter_context(own_server()).url
        browser = stack.enter_context(chromium.started(chromium.find() or "chromium"))
        context = browser.new_context(viewport={"width": 1600, "height": 1000})
        report = {"first_visit": load(context, url), "second_visit": load(context, url)}
    print(json.dumps(report, indent=2))


def load(context: BrowserContext, url: str) -> dict[str, Any]:
    page = context.new_page()
    network = context.new_cdp_session(page)
    network.send("Network.enable")
    sizes: dict[str, float] = {}
    kinds: dict[str, str] = {}
    network.on("Network.responseReceived", lambda e: kinds.update({e["requestId"]: e["response"]["url"]}))
    network.on("Network.loadingFinished", lambda e: sizes.update({e["requestId"]: e["encodedDataLength"]}))
    page.goto(url)
    page.wait_for_function("() => window.app?.graph?.nodes.length > 0", timeout=120_000)
    seconds = page.evaluate("performance.now()") / 1000
    page.get_by_test_id("app-loading-overlay").wait_for(state="hidden")
    page.wait_for_load_state("networkidle")
    page.close()
    on_the_wire = {request: size for request, size in sizes.items() if size > 0}
    return {
        "usable_s": round(seconds, 2),
        "requests": len(kinds),
        "requests_on_the_wire": len(on_the_wire),
        "mb_on_the_wire": round(sum(on_the_wire.values()) / 1e6, 2),
    }


if __name__ == "__main__":
    main()
