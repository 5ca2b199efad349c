"""The sweep's part in direct uploads: finishes those that nobody finished, ends what is over."""

from __future__ import annotations

from collections.abc import Callable

from core import limits
from core.declarations import Declaration, declared_runs, read_declaration
from core.errors import LecternError, Unavailable
from core.job import source_key
from core.ledger import Ledger
from core.ports import DirectUploads
from core.uploads import call_off, expired, finish_upload
from functions.sweep import Swept, endless


def tend_uploads(
    ledger: Ledger, sessions: DirectUploads, *, enough: Callable[[], bool] = endless
) -> Swept:
    """Finish declared uploads whose object is there, and end those that were not sent in time.

    An object is left alone until it is `republish_after_s` old: by then the caller's word and
    the store's event count as lost. Finishes at most `limits.SWEEP_UPLOADS_MAX`.
    """
    settled = 0
    for run, known in declared_runs(ledger.objects).items():
        if settled >= limits.SWEEP_UPLOADS_MAX or enough():
            return Swept(uploads=settled, more=True)
        declared = None if known else read_declaration(ledger.objects, run)
        if declared is not None:
            settled += _tend(declared, ledger, sessions)
    return Swept(uploads=settled)


def _tend(declared: Declaration, ledger: Ledger, sessions: DirectUploads) -> bool:
    """Return whether anything was decided; one upload's trouble does not stop the others."""
    try:
        if _is_left(declared, ledger) or _is_over(declared, ledger, sessions):
            finish_upload(declared.run, ledger=ledger, sessions=sessions)
            return True
    except Unavailable as error:
        ledger.log.emit("sweep.error", job_id=declared.video_id, reason=error.detail)
        return False
    except LecternError:  # refused, and recorded as such
        return True
    return False


def _is_left(declared: Declaration, ledger: Ledger) -> bool:
    before = ledger.clock.now() - ledger.policy.republish_after_s
    key = source_key(declared.run)
    return any(item.key == key and item.committed_at <= before for item in ledger.objects.list(key))


def _is_over(declared: Declaration, ledger: Ledger, sessions: DirectUploads) -> bool:
    """End a session whose time is up; what it has as a whole is finished, not thrown away."""
    if ledger.clock.now() < declared.expires_at:
        return False
    sessions.persisted(source_key(declared.run), declared.handle)
    call_off(declared, expired(declared), ledger=ledger, sessions=sessions)
    return True
