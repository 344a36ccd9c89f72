"""What a person does in the web UI, and what they see. Uses mouse, keyboard and files; ``app`` is only read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Locator, Page, Request

LIMIT_MS = 180_000
_RECORD_RUNNING = """() => {
    window.toldRunning = []
    window.seenRunning = []
    app.api.addEventListener('progress_state', ({ detail }) => {
        for (const [id, node] of Object.entries(detail.nodes))
            if (node.state === 'running') window.toldRunning.push(app.graph.getNodeById(id).title)
    })
    const everyFrame = () => {
        for (const node of app.graph.nodes)
            if (node.strokeStyles?.running?.call(node)) window.seenRunning.push(node.title)
        requestAnimationFrame(everyFrame)
    }
    everyFrame()
}"""
"""The messages that the page received, and what it drew: a running node has a green border. The page draws only the
newest state at each frame, so on a busy machine a short node may never be drawn."""


class Ui:
    """Mutable: ``problems``: the errors that the page reported."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.problems: list[str] = []
        self._url = url
        page.set_default_timeout(LIMIT_MS)
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.problems.append(f"exception: {error}"))
        page.on("request", self._on_request)

    def open(self) -> None:
        self.page.goto(self._url)
        self._wait_until_usable()

    def reload(self) -> None:
        self.page.reload()
        self._wait_until_usable()

    def run(self) -> None:
        self.page.evaluate(_RECORD_RUNNING)
        self.page.get_by_test_id("queue-button").click()

    def told_running(self) -> set[str]:
        return set(self.page.evaluate("window.toldRunning"))

    def drop_file(self, path: Path) -> None:
        """Drag a file from the desktop onto the canvas."""
        transfer = self.page.evaluate_handle(
            """([text, name]) => {
                const transfer = new DataTransfer()
                transfer.items.add(new File([text], name, { type: 'application/json' }))
                return transfer
            }""",
            [path.read_text("utf-8"), path.name],
        )
        for event in ("dragenter", "dragover", "drop"):
            self.page.dispatch_event("#graph-canvas", event, {"dataTransfer": transfer})

    def drop_workflow(self, workflow: Mapping[str, Any], path: Path) -> None:
        path.write_text(json.dumps(workflow), "utf-8")
        self.drop_file(path)
        self.wait_for("titles => app.graph.nodes.map(n => n.title).sort().join() === titles", _titles(workflow))

    def press_widget(self, node_type: str, widget: str) -> None:
        """Click on a widget of a node. Nodes are drawn on a canvas, so the position is computed from the view."""
        x, y = self.page.evaluate(
            """([type, name]) => {
                const node = app.graph.nodes.find(n => n.type === type)
                const widget = node.widgets.find(w => w.name === name)
                const place = [node.pos[0] + node.size[0] / 2, node.pos[1] + widget.last_y + 10]
                const [x, y] = app.canvas.ds.convertOffsetToCanvas(place)
                const canvas = app.canvas.canvas.getBoundingClientRect()
                return [canvas.left + x, canvas.top + y]
            }""",
            [node_type, widget],
        )
        self.page.mouse.click(x, y)

    def picture_on(self, node_type: str) -> list[int]:
        """Wait for a picture on the node, and return its width and height."""
        found = "type => app.graph.nodes.find(n => n.type === type)?.imgs?.[0]"
        self.wait_for(f"type => ({found})(type)?.naturalWidth > 0", node_type)
        size: list[int] = self.page.evaluate(
            f"type => {{ const i = ({found})(type); return [i.naturalWidth, i.naturalHeight] }}", node_type
        )
        return size

    def open_tab(self, name: str) -> Locator:
        """``assets``, ``workflows`` ...: open the tab of the side bar, and return the panel."""
        self.page.get_by_test_id(f"{name}-tab-button").click()
        return self.page.locator(".side-bar-panel")

    def wait_for(self, condition: str, argument: Any = None) -> None:
        self.page.wait_for_function(condition, arg=argument)

    def get_json(self, path: str) -> Any:
        """Send a request to the server without the page."""
        answer = self.page.request.get(self._url + path)
        assert answer.ok, f"{path} answered {answer.status}"
        return answer.json()

    def post_json(self, path: str, body: Any) -> None:
        answer = self.page.request.post(self._url + path, data=body)
        assert answer.ok, f"{path} answered {answer.status}"

    def upload(self, path: Path) -> None:
        """Upload it as an input file of its name."""
        with path.open("rb") as file:
            part = {"name": path.name, "mimeType": "image/png", "buffer": file.read()}
        answer = self.page.request.post(f"{self._url}/api/upload/image", multipart={"image": part})
        assert answer.ok, answer.text()

    def jobs(self, status: str) -> list[dict[str, Any]]:
        jobs: list[dict[str, Any]] = self.get_json(f"/api/jobs?status={status}&limit=50")["jobs"]
        return jobs

    def _wait_until_usable(self) -> None:
        self.wait_for("() => window.app?.graph?.nodes.length > 0")
        self.page.get_by_test_id("app-loading-overlay").wait_for(state="hidden")
        self.page.get_by_test_id("queue-button").wait_for()

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.problems.append(f"console: {message.text} ({message.location.get('url')})")

    def _on_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != urlsplit(self._url).netloc:
            self.problems.append(f"a request to another host: {request.url}")


def _titles(workflow: Mapping[str, Any]) -> str:
    return ",".join(sorted(node["title"] for node in workflow["nodes"]))
