"""Events as lines on stdout: JSON that Cloud Logging reads, or text for a person."""

from __future__ import annotations

import datetime as dt
import logging
import sys
from typing import Final, Literal

from pythonjsonlogger.json import JsonFormatter

_LOGGER: Final = "lectern"
_WARNINGS: Final = frozenset(
    {
        "bus.unavailable",
        "http.unavailable",
        "job.clean_unrecorded",
        "job.deliverydeferred",
        "job.retried",
        "lease.not_renewed",
        "process.not_started",
        "process.restarted",
        "push.again",
        "push.refused",
        "store.unavailable",
        "upload.left_to_sweep",
        "worker.waits",
    }
)
_ERRORS: Final = frozenset(
    {
        "http.internal_error",
        "job.deliveryrefused",
        "job.failed",
        "job.poisoned",
        "message.buried",
        "sweep.error",
        "push.malformed",
        "worker.error",
    }
)
_TALKATIVE: Final = ("python_multipart",)
"""Libraries that warn of what the caller is told anyway."""


class StructuredLog:
    """The EventLog that writes through Python's logging."""

    def __init__(self) -> None:
        self._logger = logging.getLogger(_LOGGER)

    def emit(self, event: str, /, **fields: object) -> None:
        """Write one line; fields that are None are left out."""
        known = {name: value for name, value in fields.items() if value is not None}
        self._logger.log(_level(event), event, extra={"fields": known})


def configure(*, style: Literal["auto", "json", "text"], level: str) -> None:
    """Send this process's events and library warnings to stdout in one form."""
    if style == "auto":
        style = "text" if sys.stdout.isatty() else "json"
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_TextFormatter() if style == "text" else _CloudFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger(_LOGGER).setLevel(level)
    for talkative in _TALKATIVE:
        logging.getLogger(talkative).setLevel(logging.ERROR)


def _level(event: str) -> int:
    if event in _ERRORS:
        return logging.ERROR
    return logging.WARNING if event in _WARNINGS else logging.INFO


class _CloudFormatter(JsonFormatter):
    """One JSON object a line with the names that Cloud Logging gives a meaning to."""

    def add_fields(
        self,
        log_data: dict[str, object],
        record: logging.LogRecord,
        message_dict: dict[str, object],
    ) -> None:
        super().add_fields(log_data, record, message_dict)
        log_data.pop("taskName", None)
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
        job_id, trace = fields.pop("job_id", ""), fields.pop("trace", None)
        shown = " ".join(f"{name}={value}" for name, value in fields.items())
        clock = _time(record).astimezone().strftime("%H:%M:%S")
        line = f"{clock}  {record.getMessage():<22} {job_id}  {shown}".rstrip()
        if record.exc_info is not None:
            trace = self.formatException(record.exc_info)
        return line if trace is None else f"{line}\n{trace}"


def _time(record: logging.LogRecord) -> dt.datetime:
    return dt.datetime.fromtimestamp(record.created, tz=dt.UTC)
