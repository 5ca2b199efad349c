"""`python -m transcoder`: takes Pub/Sub's pushes, one at a time, until it is told to stop.

After SIGTERM the step that runs is handed back and its message refused, so that it comes again
at once; the process ends with status 0 within `limits.STOP_S`. A worker that dies is replaced;
one that cannot start ends the process with another status. `LECTERN_DATA_DIR` must be this
process's own: what an earlier worker left in its scratch folder is removed.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import Final, NoReturn

from core import limits
from core.messages import Topic
from infra import ffmpeg, logging, push_server, required, settings, wiring
from infra.ffmpeg import FfmpegMissing
from infra.hidden import hide
from infra.listening import bound
from infra.settings import Settings, SettingsError
from transcoder import fences
from transcoder.main import clear_scratch
from transcoder.service import THREADS, create_service, pushed_topics

_GRACE_S: Final = int(limits.STOP_S - 2)
"""Seconds that a step has after SIGTERM to be handed back, before its worker is killed."""


def main() -> NoReturn:
    """Serve until SIGTERM and exit with status 0; with another if the service cannot start."""
    os.umask(0o077)
    hide()
    try:
        chosen = settings.load()
        required.check_push(chosen)
        if Topic.DELIVER in pushed_topics(chosen):
            required.check_secret(chosen, "webhook_secret")
        ffmpeg.find(chosen.lectern_ffmpeg)
        logging.configure(
            style=chosen.log_format,
            level=chosen.log_level,
            cloud_project=chosen.google_cloud_project or None,
        )
        listener = bound(chosen)
    except (SettingsError, FfmpegMissing) as error:
        sys.exit(f"transcoder: {error}")
    host, port, *_ = listener.getsockname()
    push_server.serve(
        partial(_build, chosen, host=host, port=port),
        handle=listener.detach(),  # gunicorn closes it
        threads=THREADS,
        grace_s=_GRACE_S,
    )


def _build(chosen: Settings, *, host: str, port: int) -> push_server.Service:
    """Connect in the worker's process: gRPC's clients survive no fork."""
    parts = wiring.connect(chosen)
    if chosen.lectern_backend == "gcp":  # else the folder is shared with workers that pull
        clear_scratch(parts)
    service = create_service(parts)
    seen = {}
    if Topic.TRANSCODE in pushed_topics(chosen):
        seen = {"fences": str(fences.standing(sys.executable))}
    parts.log.emit("service.listening", host=host, port=port, **seen)
    return service


if __name__ == "__main__":
    main()
