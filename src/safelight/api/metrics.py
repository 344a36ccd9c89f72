"""``/metrics`` in OpenMetrics' format, for scrapers with the token of the settings and for administrators."""

import secrets
from collections import Counter
from collections.abc import Mapping

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.contract import Shape
from safelight.api.route import Route
from safelight.core.errors import Forbidden
from safelight.core.pool import Pool, Requirements
from safelight.db.transaction import Transaction
from safelight.services import all_jobs, quota
from safelight.services import attempt as attempts
from safelight.telemetry import snapshot
from safelight.telemetry.metrics import CONTENT_TYPE
from safelight.telemetry.snapshot import Snapshot


async def get_metrics(app: App, request: ApiRequest) -> Response:
    token = app.settings.telemetry.metrics_token
    given = request.http.headers.get("authorization", "").removeprefix("Bearer ").encode()
    is_scraper = bool(token) and secrets.compare_digest(given, token.encode())
    if not (is_scraper or request.who.is_admin):
        raise Forbidden("only administrators, and scrapers with the `metrics_token`, may read the metrics")
    return Response(await metrics_text(app), headers={"content-type": CONTENT_TYPE, "cache-control": "no-store"})


async def metrics_text(app: App) -> bytes:
    """All metrics of this server, in OpenMetrics' format."""
    is_leader = app.dispatcher.is_here
    now = app.clock.now()

    def read(tx: Transaction) -> Snapshot:
        return Snapshot(
            now=now,
            waiting=_by_pool(attempts.depths(tx)) if is_leader else {},
            oldest=all_jobs.oldest_queued(tx) if is_leader else {},
            stored_bytes=quota.stored_bytes_by_class(tx) if is_leader else {},
            slots=app.dispatcher.slots() if is_leader else (),
            sockets=app.hub.socket_count,
            is_leader=is_leader,
        )

    return app.metrics.render(snapshot.families(await app.db.read(read)))


def _by_pool(depths: Mapping[Requirements, int]) -> Mapping[Pool, int]:
    """The engines that could run a job are no label: a few pools and engines make many sets."""
    waiting: Counter[Pool] = Counter()
    for requirements, count in depths.items():
        waiting[requirements.pool] += count
    return waiting


ROUTES = (Route("GET", "/metrics", get_metrics, also_api=False, is_open=True, shape=Shape.TEXT),)
