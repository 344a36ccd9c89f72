"""What an operator sees of one job that real processes ran: its trace in a collector, its log after a restart."""

import itertools
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from tests.database import ANNA, NOW, Env
from tests.faults.site import Site, wait_for
from tests.telemetry.collector import Collector, attributes, collecting, seconds

from safelight.bus.memory import MemoryBus
from safelight.core.event import (
    CallFinished,
    CallReported,
    CallsCached,
    CallStarted,
    JobEnded,
    JobQueued,
    JobRequeued,
    JobStarted,
    NodeCall,
)
from safelight.core.ids import JobId
from safelight.core.job import JobError, JobState
from safelight.telemetry.job_traces import JobTraces
from safelight.telemetry.traces import Traces, to_collector

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CLIENT_SPAN = "00f067aa0ba902b7"
PROMPT = {
    "1": {"class_type": "Deed", "inputs": {"what": "print"}},
    "2": {"class_type": "SaveTwo", "inputs": {"text": "x", "prefix": "out", "after": ["1", 0]}},
}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


def test_a_job_is_one_trace_from_the_request_to_its_files_and_its_log_stays(
    tmp_path: Path, collector: Collector
) -> None:
    with Site(tmp_path, workers=1, environment={"SAFELIGHT_TRACES_ENDPOINT": collector.url}).start() as site:
        wait_for(lambda: b"SaveTwo" in site.request("GET", "/api/object_info").body)
        headers = {"traceparent": f"00-{TRACE}-{CLIENT_SPAN}-01"}
        answer = site.request("POST", "/api/prompt", {"prompt": PROMPT}, headers=headers)
        assert answer.headers["x-request-id"] == TRACE, "log lines carry the id of the trace"
        job_id = answer.json["prompt_id"]
        assert site.end(job_id)["status"] == "completed"
        assert site.server is not None
        site.server.stop(signal.SIGTERM)

        [request] = [span for span in collector.spans if span.parent_span_id.hex() == CLIENT_SPAN]
        assert (request.name, request.kind) == ("executePrompt", Span.SpanKind.SPAN_KIND_SERVER)
        assert attributes(request)["http.response.status_code"] == 200
        [job] = collector.children(request)
        assert (job.name, attributes(job)["safelight.job"]) == ("job", job_id)
        queued, attempt = collector.children(job)
        assert (queued.name, attempt.name, attributes(attempt)["safelight.attempt"]) == ("queued", "attempt", 1)
        preparing, running, finishing = collector.children(attempt)
        assert (preparing.name, running.name, finishing.name) == ("preparing", "running", "finishing")
        calls = collector.children(running)
        assert [(call.name, attributes(call)["safelight.outputs"]) for call in calls] == [
            ("Deed", 0),
            ("SaveTwo", 1),
        ]
        of_trace = [request, job, queued, attempt, preparing, running, finishing, *calls]
        assert {span.trace_id.hex() for span in of_trace} == {TRACE}
        stages = [queued, preparing, running, finishing]
        for before, after in itertools.pairwise(stages):
            assert before.end_time_unix_nano == after.start_time_unix_nano, "the stages leave no gap"
        assert finishing.end_time_unix_nano == job.end_time_unix_nano

        site.start()
        log = site.request("GET", f"/api/v2/jobs/{job_id}/logs").json
        lines = log["text"].splitlines()
        assert [line for line in lines[:-1] if line != "native"] == ["first", "second", "30%"]
        assert "native" in lines, "its place is not certain: it took another way"
        assert lines[-1].startswith(f"job {job_id} completed after")
        assert log["complete"]
        console = site.request("GET", "/internal/logs").body.decode()
        assert f"job {job_id} completed after" in console


@pytest.mark.anyio
async def test_a_retry_and_a_failure_are_in_the_trace(env: Env, collector: Collector) -> None:
    def about(seconds: float) -> dict[str, object]:
        at = NOW + timedelta(seconds=seconds)
        return {"owner_id": ANNA.user_id, "job_id": JobId("j"), "client_id": None, "at": at}

    call = NodeCall("3", "3", None, "3")
    bus, traces = MemoryBus(), Traces(to_collector(collector.url), ratio=1.0, version="1")
    jobs = JobTraces(traces, env.db, bus, is_leader=lambda: True)
    bus.publish([JobQueued(**about(0)), JobStarted(**about(1), attempt=1, slot="gpu-0")])
    bus.publish([JobRequeued(**about(2), reason="the worker died"), JobStarted(**about(5), attempt=2, slot="gpu-1")])
    bus.publish([CallReported(**about(6), event=CallsCached(["1"])), CallReported(**about(6), event=CallStarted(call))])
    error = JobError("OutOfMemory", "no", "3", "KSampler")
    bus.publish([JobEnded(**about(9), state=JobState.FAILED, error=error)])
    await jobs.stop()
    [job] = [span for span in collector.spans if not span.parent_span_id]
    shown = [(span.name, seconds(span)) for span in collector.children(job)]
    assert shown == [("queued", 1), ("attempt", 1), ("queued", 3), ("attempt", 4)]
    _, lost, _, failed = collector.children(job)
    assert [lost.status.message, failed.status.message] == ["the worker died", "OutOfMemory"]
    _, running, _ = collector.children(failed)
    assert attributes(running)["safelight.cached_calls"] == 1
    [open_call] = collector.children(running)
    assert open_call.status.code == Status.STATUS_CODE_ERROR


@pytest.mark.anyio
async def test_a_trace_that_its_client_does_not_record_is_not_sent(env: Env, collector: Collector) -> None:
    traces = Traces(to_collector(collector.url), ratio=1.0, version="1")
    for flags in ("00", "01"):
        span = traces.begin_request("GET", {"traceparent": f"00-{TRACE}-{CLIENT_SPAN}-{flags}"})
        span.end("getJob", 200)
    none = Traces(to_collector(collector.url), ratio=0.0, version="1")
    none.begin_request("GET", {}).end("getJob", 200)
    for each in (traces, none):
        each.stop()
    assert len(collector.spans) == 1


@pytest.mark.anyio
async def test_calls_of_a_completed_job_have_their_times(env: Env, collector: Collector) -> None:
    bus, traces = MemoryBus(), Traces(to_collector(collector.url), ratio=1.0, version="1")
    jobs = JobTraces(traces, env.db, bus, is_leader=lambda: True)
    call = NodeCall("3", "3", None, "3")
    about = {"owner_id": ANNA.user_id, "job_id": JobId("j"), "client_id": None}
    at = [NOW + timedelta(seconds=seconds) for seconds in range(5)]
    bus.publish([JobQueued(**about, at=at[0]), JobStarted(**about, at=at[0], attempt=1, slot="cpu")])
    bus.publish([CallReported(**about, at=at[1], event=CallStarted(call))])
    bus.publish([CallReported(**about, at=at[3], event=CallFinished(call))])
    bus.publish([JobEnded(**about, at=at[4], state=JobState.COMPLETED)])
    await jobs.stop()
    [made] = [span for span in collector.spans if span.name == "node"]
    assert seconds(made) == 2
    [finishing] = [span for span in collector.spans if span.name == "finishing"]
    assert seconds(finishing) == 1
