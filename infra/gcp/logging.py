"""Lines for Cloud Logging, by Google's own handler: no call of the API, no background thread.

Cloud Run's agent reads each line of stdout as a LogEntry: severity, trace, span and source
location out of the fields that it knows, the rest as `jsonPayload`.
https://cloud.google.com/logging/docs/structured-logging
"""

from __future__ import annotations

import logging
import sys

from google.cloud.logging_v2.handlers import StructuredLogHandler

from core.trace import Traceparent


def line_handler(project: str) -> logging.Handler:
    """Return a handler that writes one JSON object a line to stdout."""
    handler: logging.Handler = StructuredLogHandler(project_id=project, stream=sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))  # else it repeats the level in words
    handler.filters.insert(0, _Fields(project))
    return handler


class _Fields(logging.Filter):
    """Gives a record the attributes that Google's handler looks for, before it does."""

    def __init__(self, project: str) -> None:
        super().__init__()
        self._project = project

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the event's fields and its trace; lets every record pass."""
        record.http_request = None  # what the handler finds by itself holds the URL's query
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            record.json_fields = {"event": record.getMessage(), **fields}
            record.labels = _labels(fields)
        span = getattr(record, "span", None)
        if isinstance(span, Traceparent):
            record.trace = f"projects/{self._project}/traces/{span.trace_id}"
            record.span_id = span.span_id
            record.trace_sampled = span.sampled
        return True


def _labels(fields: dict[str, object]) -> dict[str, str]:
    """Return what log queries of all services have in common, as indexed labels."""
    return {name: str(fields[name]) for name in ("job_id", "organization_id") if fields.get(name)}
