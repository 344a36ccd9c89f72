"""Every metric that counts what has happened, for Prometheus (OpenMetrics).

Each set of labels is bounded: operations of the API, states, stages, pools that the operator has named. No label holds
a user, a job or a file: a thousand users make no more series than one.
"""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest

from safelight.core.event import JobEnded
from safelight.services.job_stages import JobStages

CONTENT_TYPE = CONTENT_TYPE_LATEST

_STAGE_S = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
_FAST_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    """Mutable: the counts since the server started. Used on the event loop's thread."""

    def __init__(self, *, version: str) -> None:
        self._registry = registry = CollectorRegistry()
        Gauge("safelight_build_info", "The version that runs.", ["version"], registry=registry).labels(version).set(1)
        self._jobs = Counter(
            "safelight_jobs_ended", "Jobs that have ended, by their final state.", ["state"], registry=registry
        )
        self._attempts = Counter(
            "safelight_job_retries", "Attempts of ended jobs beyond the first of each.", registry=registry
        )
        self._stages = Histogram(
            "safelight_job_stage_seconds",
            "How long the stages of ended jobs took.",
            ["stage"],
            buckets=_STAGE_S,
            registry=registry,
        )
        self._commits = Histogram(
            "safelight_commit_seconds",
            "From the begin of a write to its commit. Durable writes wait for the disk.",
            ["durable"],
            buckets=_FAST_S,
            registry=registry,
        )
        self._claims = Histogram(
            "safelight_claim_seconds",
            "From the request for a job to the claim of one, or to the answer that none waits.",
            buckets=_FAST_S,
            registry=registry,
        )
        self._requests = Histogram(
            "safelight_http_request_seconds",
            "HTTP requests of the API, until their last byte was sent.",
            ["operation", "method", "status"],
            buckets=_FAST_S,
            registry=registry,
        )
        self._events = Counter("safelight_events", "Events that the bus has delivered.", ["event"], registry=registry)
        self._loads = Counter(
            "safelight_model_loads", "Models that engines have loaded, as they report it.", registry=registry
        )

    def job_ended(self, event: JobEnded, stages: JobStages) -> None:
        self._jobs.labels(event.state.value).inc()
        if stages.attempt > 1:
            self._attempts.inc(stages.attempt - 1)
        for stage, seconds in stages.seconds.items():
            self._stages.labels(stage).observe(max(seconds, 0.0))

    def event_delivered(self, name: str) -> None:
        self._events.labels(name).inc()

    def committed(self, seconds: float, is_durable: bool) -> None:
        self._commits.labels("yes" if is_durable else "no").observe(seconds)

    def claimed(self, seconds: float) -> None:
        self._claims.observe(seconds)

    def request_answered(self, operation: str, method: str, status: int, seconds: float) -> None:
        """``operation``: the id of an operation, not a path that a client chose."""
        self._requests.labels(operation, method, str(status)).observe(seconds)

    def models_loaded(self, count: int) -> None:
        self._loads.inc(count)

    def render(self, present: Iterable[GaugeMetricFamily]) -> bytes:
        """The text of all metrics in OpenMetrics' format, with those of the ``present`` state."""
        return generate_latest(_WithPresent(self._registry, present))  # type: ignore[no-untyped-call, no-any-return]


class _WithPresent:
    """A registry's families and others: what ``generate_latest`` needs of a registry."""

    def __init__(self, registry: CollectorRegistry, present: Iterable[GaugeMetricFamily]) -> None:
        self._registry = registry
        self._present = present

    def collect(self) -> Iterable[object]:
        yield from self._registry.collect()
        yield from self._present
