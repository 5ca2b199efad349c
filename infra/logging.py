"""Events as lines on stdout: JSON that Cloud Logging reads, or text for a person.

On Google Cloud the lines are made by google-cloud-logging's StructuredLogHandler, elsewhere by
python-json-logger, which starts a second faster; the event's fields have the same names in both.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Final, Literal

from pythonjsonlogger.json import JsonFormatter

from core import trace
from core.trace import Traceparent

_LOGGER: Final = "lectern"
_WARNINGS: Final = frozenset(
    {
        "bus.unavailable",
        "front.killed",
        "http.unavailable",
        "job.buried",
        "job.clean_unrecorded",
        "job.deliverydeferred",
        "job.retried",
        "lease.not_renewed",
        "piece.failed",
        "process.not_started",
        "process.restarted",
        "push.again",
        "push.refused",
        "push.unchecked",
        "store.unavailable",
        "upload.foreign_bucket",
        "upload.left_to_sweep",
        "worker.waits",
    }
)
_ERRORS: Final = frozenset(
    {
        "dead_letter.malformed",
        "event.malformed",
        "http.internal_error",
        "job.deliveryrefused",
        "job.failed",
        "job.poisoned",
        "message.buried",
        "push.malformed",
        "sweep.error",
        "worker.error",
    }
)
_TALKATIVE: Final = ("python_multipart",)
"""Libraries that warn of what the caller is told anyway."""
_BOUND: Final[ContextVar[Mapping[str, object]]] = ContextVar("bound", default=MappingProxyType({}))


class StructuredLog:
    """The EventLog that writes through Python's logging."""

    def __init__(self) -> None:
        self._logger = logging.getLogger(_LOGGER)

    def emit(self, event: str, /, **fields: object) -> None:
        """Write one line; fields that are None are left out."""
        merged = {**_BOUND.get(), **fields}
        known = {name: value for name, value in merged.items() if value is not None}
        span = Traceparent.read(_text(known.pop(trace.HEADER, None)))
        if span is not None:
            known["trace_id"] = span.trace_id
        extra = {"fields": known, "span": span}
        self._logger.log(_level(event), event, extra=extra, stacklevel=2)

    @contextlib.contextmanager
    def bind(self, **fields: object) -> Iterator[None]:
        """Add `fields` to every event of this thread inside the block."""
        token = _BOUND.set({**_BOUND.get(), **fields})
        try:
            yield
        finally:
            _BOUND.reset(token)


def configure(
    *, style: Literal["auto", "json", "text"], level: str, cloud_project: str | None = None
) -> None:
    """Send this process's events and library warnings to stdout in one form.

    With `cloud_project` JSON lines are those of google-cloud-logging for that project.
    """
    if style == "auto":
        style = "text" if sys.stdout.isatty() else "json"
    handler: logging.Handler = logging.StreamHandler(sys.stdout)
    if style == "text":
        handler.setFormatter(_TextFormatter())
    elif cloud_project is None:
        handler.setFormatter(_JsonFormatter())
    else:
        from infra.gcp.logging import line_handler  # noqa: PLC0415 - it costs a second

        handler = line_handler(cloud_project)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger(_LOGGER).setLevel(level)
    for talkative in _TALKATIVE:
        logging.getLogger(talkative).setLevel(logging.ERROR)


def _level(event: str) -> int:
    if event in _ERRORS:
        return logging.ERROR
    return logging.WARNING if event in _WARNINGS else logging.INFO


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


class _JsonFormatter(JsonFormatter):
    """One JSON object a line with the names that Cloud Logging gives a meaning to."""

    def add_fields(
        self,
        log_data: dict[str, object],
        record: logging.LogRecord,
        message_dict: dict[str, object],
    ) -> None:
        super().add_fields(log_data, record, message_dict)
        log_data.pop("taskName", None)
        log_data.pop("span", None)
        fields = log_data.pop("fields", None)
        log_data["severity"] = record.levelname
        log_data["time"] = _time(record).isoformat(timespec="milliseconds")
        log_data["logger"] = record.name
        if isinstance(fields, dict):
            log_data["event"] = record.getMessage()
            log_data.update(fields)


class _TextFormatter(logging.Formatter):
    """One short line for a person who watches."""

    def format(self, record: logging.LogRecord) -> str:
        fields = dict(getattr(record, "fields", {}))
        job_id, traceback = fields.pop("job_id", ""), fields.pop("trace", None)
        fields.pop("trace_id", None)
        shown = " ".join(f"{name}={value}" for name, value in fields.items())
        clock = _time(record).astimezone().strftime("%H:%M:%S")
        line = f"{clock}  {record.getMessage():<22} {job_id}  {shown}".rstrip()
        if record.exc_info is not None:
            traceback = self.formatException(record.exc_info)
        return line if traceback is None else f"{line}\n{traceback}"


def _time(record: logging.LogRecord) -> dt.datetime:
    return dt.datetime.fromtimestamp(record.created, tz=dt.UTC)
