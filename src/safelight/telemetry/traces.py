"""OpenTelemetry traces: the spans of requests, and what the spans of jobs are made with.

Needs the extra ``traces``. It is imported only by servers whose settings name a collector.
"""

from collections.abc import Mapping
from contextvars import Token
from datetime import datetime

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from safelight.core.trace_context import current_traceparent
from safelight.telemetry.request_id import current_request

Attributes = Mapping[str, str | int | float]

_propagator = TraceContextTextMapPropagator()


def to_collector(endpoint: str) -> SpanExporter:
    """An exporter to an OpenTelemetry collector, by OTLP over HTTP."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(endpoint=endpoint)


class Traces:
    """Makes spans and sends them to ``exporter``, in a thread of its own. ``ratio``: of the traces that begin here,
    how many are sent; a trace that a client began is sent if the client says so."""

    def __init__(self, exporter: SpanExporter, *, ratio: float, version: str) -> None:
        resource = Resource.create({"service.name": "safelight", "service.version": version})
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(ratio)), resource=resource, shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("safelight", version)

    def begin_request(self, method: str, headers: Mapping[str, str]) -> "RequestSpan":
        """Begin the span of a request, in the trace that its headers name, if any."""
        span = self._tracer.start_span(method, context=_context(headers.get("traceparent", "")), kind=SpanKind.SERVER)
        span.set_attribute("http.request.method", method)
        span.set_attribute("safelight.request_id", current_request.get())
        return RequestSpan(span, current_traceparent.set(traceparent(span)))

    def add(
        self,
        name: str,
        *,
        parent: Span | str,
        begin: datetime,
        end: datetime,
        attributes: Attributes | None = None,
        error: str = "",
    ) -> Span:
        """Add a span for what is over. ``parent``: a span or a traceparent; an empty one begins a trace."""
        context = _context(parent) if isinstance(parent, str) else trace.set_span_in_context(parent, Context())
        span = self._tracer.start_span(name, context=context, start_time=_ns(begin), attributes=dict(attributes or {}))
        if error:
            span.set_status(Status(StatusCode.ERROR, error))
        span.end(max(_ns(end), _ns(begin)))
        return span

    def stop(self) -> None:
        """Send what waits; blocks for some seconds if the collector does not answer."""
        self._provider.shutdown()


class RequestSpan:
    """Mutable: the span of a request that is being answered. Until :meth:`end`, the task's current traceparent is the
    span's."""

    def __init__(self, span: Span, token: Token[str]) -> None:
        self._span = span
        self._token = token

    def end(self, operation: str, status: int) -> None:
        """``operation``: the id of an operation. ``status``: 0 if the client has gone."""
        current_traceparent.reset(self._token)
        self._span.update_name(operation)
        if status:
            self._span.set_attribute("http.response.status_code", status)
        if status >= 500:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


def traceparent(span: Span) -> str:
    """What names the span to others."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, trace.set_span_in_context(span, Context()))
    return carrier.get("traceparent", "")


def _context(parent: str) -> Context:
    return _propagator.extract({"traceparent": parent}, Context())


def _ns(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000) * 1_000
