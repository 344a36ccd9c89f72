"""What an operator sees of a real server: one log line for each job's end, and a listener for its metrics."""

import json
import re
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from tests.cli.client import post, submit, wait_for_all
from tests.cli.server import running, safelight, wait_for_nodes

FAILING = {
    "1": {"class_type": "ComfyMathExpression", "inputs": {"expression": "1/0", "values.a": 1}},
    "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
}
HOUR_PATTERN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_server_under_way(tmp_path: Path) -> None:
    port = free_port()
    environment = {
        "SAFELIGHT_LOG_FORMAT": "json",
        "SAFELIGHT_ACCESS_LOG": "1",
        "SAFELIGHT_METRICS_LISTEN": f"127.0.0.1:{port}",
    }
    with running(tmp_path / "data", environment=environment) as server:
        wait_for_nodes(server.url)
        done = {submit(server.url, f"value {number}") for number in range(3)}
        failed = post(f"{server.url}/api/prompt", {"prompt": FAILING})["prompt_id"]
        wait_for_all(server.url, 4)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api/jobs", timeout=30)
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["safelight_jobs_ended_total", "completed"] == 3
    assert samples["safelight_jobs_ended_total", "failed"] == 1
    assert samples["safelight_job_stage_seconds_count", "running"] == 4
    assert samples["safelight_commit_seconds_count", "yes"] >= 8
    assert samples["safelight_claim_seconds_count",] >= 4

    lines = [json.loads(line) for line in server.lines if line.startswith("{")]
    assert all(HOUR_PATTERN.fullmatch(line["time"]) for line in lines)
    ends = {line["job"]: line for line in lines if line["logger"] == "safelight.jobs"}
    assert ends.keys() == done | {failed}
    for job in done:
        assert (ends[job]["state"], ends[job]["attempt"]) == ("completed", 1)
        assert ends[job]["slot"]
        assert {"queued_s", "preparing_s", "running_s"} <= ends[job].keys()
    assert ends[failed]["node"] == "1"
    requests = [line for line in lines if line["logger"] == "safelight.access" and line["path"] == "/api/prompt"]
    assert [line["status"] for line in requests] == [200] * 4
    assert len({line["request"] for line in requests}) == 4


def test_an_address_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    ran = safelight("serve", "--data-dir", str(tmp_path), environment={"SAFELIGHT_METRICS_LISTEN": "9464"})
    assert ran.returncode != 0
    assert "metrics_listen: '9464' is not like 127.0.0.1:9464" in ran.stderr
