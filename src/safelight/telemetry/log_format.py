"""The forms of a log line: for a console, or as one JSON object.

A record may carry ``fields``, a mapping of names and plain values, beside its text::

    log.info("job %s completed", job_id, extra={"fields": {"job": job_id, "running_s": 1.5}})
"""

import logging
from datetime import UTC, datetime
from typing import Literal

import msgspec

from safelight.telemetry.request_id import current_request


class ConsoleFormat(logging.Formatter):
    """``2026-11-30T14:03:12.345+00:00 INFO safelight.jobs [request]: text``"""

    def format(self, record: logging.LogRecord) -> str:
        request = f" [{current}]" if (current := current_request.get()) else ""
        return f"{_time(record)} {record.levelname} {record.name}{request}: {_text(self, record)}"


class JsonFormat(logging.Formatter):
    """One object per line: ``time``, ``level``, ``logger``, ``message``, ``request``, and the record's fields."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name}
        line["message"] = record.getMessage()
        if request := current_request.get():
            line["request"] = request
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        fields = getattr(record, "fields", {})
        return msgspec.json.encode({**fields, **line}, enc_hook=str).decode()


def set_up(*, level: str, form: Literal["console", "json"]) -> None:
    """Send all log records to the standard error stream in that form."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormat() if form == "json" else ConsoleFormat())
    logging.basicConfig(level=level.upper(), handlers=[handler])


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).astimezone().isoformat(timespec="milliseconds")


def _text(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    text = record.getMessage()
    return f"{text}\n{formatter.formatException(record.exc_info)}" if record.exc_info else text
