"""Log lines, for a console and as JSON."""

import json
import logging
import re
import sys
from datetime import datetime

import pytest

from safelight.telemetry.log_format import ConsoleFormat, JsonFormat
from safelight.telemetry.request_id import current_request, request_id


def record(*, fields: object = None, error: BaseException | None = None) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    made = logging.LogRecord("safelight.jobs", logging.WARNING, "x.py", 1, "job %s failed", ("a",), info)
    if fields:
        made.fields = fields
    return made


def test_a_console_line_has_date_and_zone() -> None:
    line = ConsoleFormat().format(record())
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d WARNING safelight\.jobs: job a failed", line
    )


def test_a_json_line_is_one_object_with_the_records_fields() -> None:
    line = JsonFormat().format(record(fields={"job": "a", "running_s": 1.5, "level": "not this one"}))
    shown = json.loads(line)
    assert "\n" not in line
    assert datetime.fromisoformat(shown.pop("time")).tzinfo is not None
    assert shown == {
        "level": "warning",
        "logger": "safelight.jobs",
        "message": "job a failed",
        "job": "a",
        "running_s": 1.5,
    }


def test_a_traceback_is_a_field_of_its_own() -> None:
    try:
        raise ValueError("no such thing")
    except ValueError:
        error = sys.exception() if hasattr(sys, "exception") else sys.exc_info()[1]
        shown = json.loads(JsonFormat().format(record(error=error)))
    assert "ValueError: no such thing" in shown["traceback"]


def test_lines_of_a_request_carry_its_id() -> None:
    chosen = current_request.set("abc")
    try:
        assert json.loads(JsonFormat().format(record()))["request"] == "abc"
        assert " safelight.jobs [abc]: " in ConsoleFormat().format(record())
    finally:
        current_request.reset(chosen)


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-request-id": "deploy-7.a_B"}, "deploy-7.a_B"),
        ({"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}, TRACE),
        ({"x-request-id": "x", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}, "x"),
    ],
)
def test_a_client_may_choose_the_id(headers: dict[str, str], expected: str) -> None:
    assert request_id(headers) == expected


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-request-id": "a\nb"},
        {"x-request-id": "x" * 129},
        {"traceparent": f"00-{'0' * 32}-00f067aa0ba902b7-01"},
        {"traceparent": "00-xyz-1-01"},
    ],
)
def test_an_id_that_a_log_line_cannot_carry_is_replaced(headers: dict[str, str]) -> None:
    assert re.fullmatch("[0-9a-f]{32}", request_id(headers))
    assert request_id(headers) != request_id(headers)
