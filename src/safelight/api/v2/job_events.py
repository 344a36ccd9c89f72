"""``GET /api/v2/jobs/{id}/events``: the events of a job, as server-sent events.

On connection: the status, the progress and the latest preview. Then what changes, at most :data:`EACH_S` apart for
progress and previews. Every ``output`` is sent before the terminal status, which ends the stream: the SDKs stop reading
there. There is no ``id``, and no replay: a client that connects again begins with the status.
"""

import base64
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.event_stream import EventStream, comment, frame
from safelight.api.v2.job_json import outputs_json, status_of
from safelight.api.v2.progress import Progress, progress_json
from safelight.api.v2.streams import Stream
from safelight.core.event import PreviewMade
from safelight.core.job import JobState, JobSummary
from safelight.services import job_view
from safelight.services.job_view import JobView

EACH_S = 0.5
"""Between two frames of progress, and between two previews."""
COMMENT_S = 10.0
"""Silence after which a comment is sent; the SDKs' idle timeout is above 15 s."""


async def get_job_events(app: App, request: ApiRequest) -> Response:
    who, job_id = request.who, request.params["id"]
    view = await app.db.read(lambda tx: job_view.view(tx, who, job_id=job_id))
    prompt = await app.db.read(lambda tx: job_view.prompt(tx, who, job_id=job_id))
    classes = {node_id: str(node.get("class_type")) for node_id, node in prompt.items() if isinstance(node, Mapping)}
    subject = view.summary.id
    stream = app.streams.open(who.user_id, subject=subject)
    events = _Events(app, request, stream, job=view.summary, classes=classes).frames()
    return EventStream(events, close=lambda: app.streams.close(stream, subject=subject))


class _Events:
    """Mutable: what was sent last."""

    def __init__(
        self, app: App, request: ApiRequest, stream: Stream, *, job: JobSummary, classes: Mapping[str, str]
    ) -> None:
        self._app = app
        self._request = request
        self._stream = stream
        self._classes = classes
        self._job = job
        self._status: Any = None
        self._progress: Progress | None = None
        self._sent_outputs: set[tuple[str, str]] = set()
        self._due_s = {"progress": 0.0, "preview": 0.0}

    async def frames(self) -> AsyncIterator[bytes]:
        stream, sent_s = self._stream, time.monotonic()
        while not stream.is_closed:
            batch: list[bytes] = []
            is_over = False
            if stream.has_status or stream.has_outputs:
                is_over = await self._read(batch)
            if not is_over:
                self._add_progress(batch)
                self._add_preview(batch)
            if batch:
                yield b"".join(batch)
                sent_s = time.monotonic()
            elif time.monotonic() - sent_s >= COMMENT_S:
                yield comment()
                sent_s = time.monotonic()
            if is_over:
                return
            await stream.wait(self._pause_s(sent_s))

    async def _read(self, batch: list[bytes]) -> bool:
        """Add the outputs that are new, and the status if it has changed. Returns whether the job has ended."""
        stream, request, who = self._stream, self._request, self._request.who
        stream.has_status = stream.has_outputs = False
        view = await self._app.db.read(lambda tx: job_view.view(tx, who, job_id=request.params["id"]))
        job = self._job = view.summary
        is_first = self._status is None
        if is_first and not job.state.is_terminal:
            self._add_status(view, batch)
        for shown in outputs_json(view, request.http, now=self._app.clock.now()):
            key = shown["node_id"], shown["id"]
            if key not in self._sent_outputs:
                self._sent_outputs.add(key)
                batch.append(frame("output", shown))
        if job.state is JobState.COMPLETED and job.node_count:
            last = Progress(1.0, job.node_count, job.node_count)
            batch.append(frame("progress", progress_json(last, {})))
        self._add_status(view, batch)
        return job.state.is_terminal

    def _add_status(self, view: JobView, batch: list[bytes]) -> None:
        status = {"status": status_of(view.summary), "queue_position": view.ahead}
        if status != self._status:
            self._status = status
            batch.append(frame("status", status))

    def _add_progress(self, batch: list[bytes]) -> None:
        if not self._stream.has_progress or time.monotonic() < self._due_s["progress"]:
            return
        self._stream.has_progress = False
        found = self._app.streams.progress.of(self._job.id, nodes=self._job.node_count)
        if found is not None and found != self._progress:
            self._progress = found
            batch.append(frame("progress", progress_json(found, self._classes)))
            self._due_s["progress"] = time.monotonic() + EACH_S

    def _add_preview(self, batch: list[bytes]) -> None:
        preview = self._stream.preview
        if preview is None or time.monotonic() < self._due_s["preview"]:
            return
        self._stream.preview = None
        batch.append(frame("preview", _preview_json(preview)))
        self._due_s["preview"] = time.monotonic() + EACH_S

    def _pause_s(self, sent_s: float) -> float:
        """Until the next frame that waits for its turn, or the next comment."""
        now_s = time.monotonic()
        pauses = [COMMENT_S - (now_s - sent_s)]
        if self._stream.has_progress:
            pauses.append(self._due_s["progress"] - now_s)
        if self._stream.preview is not None:
            pauses.append(self._due_s["preview"] - now_s)
        return max(min(pauses), 0.01)


def _preview_json(preview: PreviewMade) -> dict[str, Any]:
    data = base64.b64encode(preview.image).decode("ascii")
    return {"node_id": preview.call.display_id, "content_type": preview.mime_type, "data_base64": data}
