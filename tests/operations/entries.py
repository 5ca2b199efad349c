"""What Cloud Run's agent makes of a line on stdout: a LogEntry.

https://cloud.google.com/logging/docs/structured-logging lists the fields that it moves out of
the payload; https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry the rest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

PROJECT: Final = "test"
_PREFIX: Final = "logging.googleapis.com/"
_MOVED: Final[Mapping[str, str]] = {
    f"{_PREFIX}trace": "trace",
    f"{_PREFIX}spanId": "spanId",
    f"{_PREFIX}trace_sampled": "traceSampled",
    f"{_PREFIX}sourceLocation": "sourceLocation",
    f"{_PREFIX}insertId": "insertId",
    f"{_PREFIX}operation": "operation",
    "httpRequest": "httpRequest",
    "time": "timestamp",
    "timestamp": "timestamp",
}
SEVERITIES: Final = (
    "DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY",
)  # fmt: skip
"""In their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """A line as Cloud Logging keeps it; `payload` is None for a line of text.

    `known` has the fields of the type other than payload, labels and resource.
    """

    service: str
    payload: Mapping[str, Any] | None
    labels: Mapping[str, str] = field(default_factory=dict)
    known: Mapping[str, Any] = field(default_factory=dict)

    @property
    def event(self) -> str | None:
        """Return the name of the event that the line is, if it is one."""
        return None if self.payload is None else self.payload.get("event")

    @property
    def job_id(self) -> str | None:
        """Return the job that the line is about."""
        return None if self.payload is None else self.payload.get("job_id")

    @property
    def resource(self) -> Mapping[str, Any]:
        """Return the monitored resource that Cloud Run puts on each line."""
        return {
            "type": "cloud_run_revision",
            "labels": {
                "service_name": self.service,
                "revision_name": f"{self.service}-00001-abc",
                "configuration_name": self.service,
                "location": "europe-west1",
                "project_id": PROJECT,
            },
        }


def read(service: str, line: str) -> LogEntry:
    """Return the entry of one line that a container of `service` wrote."""
    try:
        fields = json.loads(line)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        return LogEntry(service=service, payload=None, known={"textPayload": line})
    known: dict[str, Any] = {}
    for name, moved in _MOVED.items():
        if name in fields:
            known[moved] = fields.pop(name)
    labels = fields.pop(f"{_PREFIX}labels", {})
    severity = str(fields.pop("severity", "DEFAULT")).upper()
    known["severity"] = severity if severity in SEVERITIES else "DEFAULT"
    if fields.keys() == {"message"}:
        return LogEntry(
            service=service,
            payload=None,
            labels=labels,
            known={**known, "textPayload": fields["message"]},
        )
    return LogEntry(service=service, payload=fields, labels=labels, known=known)
