"""``/api/admin/housekeeping``: what the server removes by itself: what is due, and what the last run removed."""

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.handler import on_leader
from safelight.api.responses import json_response
from safelight.core.errors import Forbidden
from safelight.core.retention import Amount, Kind
from safelight.services import retention
from safelight.services.housekeeping import Report
from safelight.services.scheduled_backup import BackupPlan, backups


@on_leader
async def get_housekeeping(app: App, request: ApiRequest) -> Response:
    _require_admin(request)
    return await _state(app, request)


@on_leader
async def run_housekeeping(app: App, request: ApiRequest) -> Response:
    """Run now, and answer when it has ended."""
    _require_admin(request)
    await app.housekeeping.run_once()
    return await _state(app, request)


def _require_admin(request: ApiRequest) -> None:
    if not request.who.is_admin:
        raise Forbidden("only administrators may see and start housekeeping")


async def _state(app: App, request: ApiRequest) -> Response:
    keeper = app.housekeeping
    due = await app.db.read(lambda tx: retention.due(tx, retention=keeper.retention, now=request.now))
    content = {
        "every_s": keeper.every_s,
        "rules": [{"kind": kind, "age_s": getattr(keeper.retention, kind), "due": _amount(due[kind])} for kind in Kind],
        "backups": await _backups(keeper.plan),
        "last": _report(keeper.last),
    }
    return json_response(content)


def _report(report: Report | None) -> Mapping[str, Any] | None:
    if report is None:
        return None
    return {
        "at": report.at.isoformat(),
        "removed": {kind: _amount(amount) for kind, amount in report.removed.items()},
        "freed": _amount(report.freed) if report.freed is not None else None,
        "error": report.error,
    }


async def _backups(plan: BackupPlan | None) -> Mapping[str, Any] | None:
    if plan is None:
        return None
    made = await asyncio.to_thread(backups, plan)
    latest = made[-1].manifest if made else None
    return {
        "folder": str(plan.folder),
        "every_s": plan.every_s,
        "kept": plan.kept,
        "count": len(made),
        "latest": None if latest is None else {"at": latest.made_at.isoformat(), "lost": len(latest.lost)},
    }


def _amount(amount: Amount) -> Mapping[str, int]:
    return {"count": amount.count, "bytes": amount.size}
