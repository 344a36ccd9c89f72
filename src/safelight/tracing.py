"""Traces as the settings ask for them; imports OpenTelemetry only if they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from safelight import __version__
from safelight.bus.bus import Bus
from safelight.db.engine import Database
from safelight.settings import InvalidSetting, Settings

if TYPE_CHECKING:
    from safelight.telemetry.job_traces import JobTraces
    from safelight.telemetry.traces import Traces


def open_traces(settings: Settings) -> Traces | None:
    """``None`` where the settings name no collector. Raises :class:`InvalidSetting` without the extra ``traces``."""
    telemetry = settings.telemetry
    if not telemetry.traces_endpoint:
        return None
    try:
        from safelight.telemetry.traces import Traces, to_collector

        exporter = to_collector(telemetry.traces_endpoint)
    except ImportError as error:
        raise InvalidSetting(
            f"traces_endpoint is set, but {error.name} is not installed; install 'safelight[traces]'"
        ) from None
    return Traces(exporter, ratio=telemetry.traces_ratio, version=__version__)


def follow_jobs(traces: Traces, db: Database, bus: Bus, *, is_leader: Callable[[], bool]) -> JobTraces:
    from safelight.telemetry.job_traces import JobTraces

    return JobTraces(traces, db, bus, is_leader=is_leader)
