"""The sweep's part in direct uploads: finishes those that nobody finished, ends what is over."""

from __future__ import annotations

from collections.abc import Callable

from core import limits
from core.declarations import Declaration, declared_runs, read_declaration
from core.errors import LecternError, Unavailable
from core.job import source_key
from core.ledger import Ledger
from core.ports import DirectUploads
from core.uploads import call_off, expired, finish_upload, is_committed
from functions.sweep import Swept, endless, tell_defect


def tend_uploads(
    ledger: Ledger,
    sessions: DirectUploads,
    *,
    ttl_s: float,
    enough: Callable[[], bool] = endless,
) -> Swept:
    """Finish declared uploads whose object is there, and end those that were not sent in time.

    An object is left alone until it is `republish_after_s` old: by then the caller's word and
    the store's event count as lost. Sessions are looked at from the age of `ttl_s`, so that any
    number of open ones costs two listings. Finishes at most `limits.SWEEP_UPLOADS_MAX`.
    """
    settled = 0
    for run in _due(ledger, ttl_s):
        if settled >= limits.SWEEP_UPLOADS_MAX or enough():
            return Swept(uploads=settled, more=True)
        settled += _tend(run, ledger, sessions)
    return Swept(uploads=settled)


def _due(ledger: Ledger, ttl_s: float) -> list[str]:
    """Return the undecided runs whose object was left, then those that may be over.

    Each sweep begins with another: those that cannot be decided must not use up all of its time.
    """
    now = ledger.clock.now()
    left_before = now - ledger.policy.republish_after_s
    sources = {item.key: item.committed_at for item in ledger.objects.list("uploads/")}
    undecided = {
        run: declared.since
        for run, declared in declared_runs(ledger.objects).items()
        if not declared.is_settled
    }
    left = [run for run in undecided if sources.get(source_key(run), now) <= left_before]
    over = [run for run, since in undecided.items() if since + ttl_s <= now and run not in left]
    return _turned(left, now) + _turned(over, now)


def _turned(runs: list[str], now: float) -> list[str]:
    at = int(now) % len(runs) if runs else 0
    return runs[at:] + runs[:at]


def _tend(run: str, ledger: Ledger, sessions: DirectUploads) -> bool:
    """Return whether anything was decided; one upload's trouble does not stop the others."""
    try:
        declared = read_declaration(ledger.objects, run)
        if declared is None or not (
            is_committed(ledger.objects, run) or _is_over(declared, ledger, sessions)
        ):
            return False
        finish_upload(run, ledger=ledger, sessions=sessions)
    except Unavailable as error:
        ledger.log.emit("sweep.error", upload_id=run, code=error.code, reason=error.detail)
        return False
    except LecternError:  # refused, and recorded as such
        return True
    except Exception as error:  # noqa: BLE001 - a defect that one declaration sets off
        tell_defect(ledger, error, upload_id=run)
        return False
    return True


def _is_over(declared: Declaration, ledger: Ledger, sessions: DirectUploads) -> bool:
    """End a session whose time is up; what it has as a whole is finished, not thrown away."""
    if ledger.clock.now() < declared.expires_at:
        return False
    sessions.persisted(source_key(declared.run), declared.handle)
    call_off(declared, expired(declared), ledger=ledger, sessions=sessions)
    return True
