"""How often a caller may present a wrong key."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from core import limits
from core.addresses import site


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failures:
    since: float
    count: int


class Guesses:
    """Wrong keys by their source, for one process; times are seconds of one steady clock.

    A source has `limits.KEY_GUESSES_MAX` wrong keys in `limits.KEY_GUESSES_S`; until these are over
    no key of it is looked at. But a source that has shown a good key before is heard all the same:
    behind one address there may be the LMS and somebody who guesses, and the one must not shut out
    the other. What is kept is bounded; of the strangers the one that was heard of longest ago is
    forgotten, and no stranger drives out a source that is known.
    """

    def __init__(self, *, sources_max: int = limits.KEY_SOURCES_MAX) -> None:
        self._failures: OrderedDict[str, _Failures] = OrderedDict()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._sources_max = sources_max

    def may_try(self, source: str, now: float) -> bool:
        """Tell whether a key of this source is looked at."""
        return source in self._known or self.wait_s(source, now) <= 0

    def wait_s(self, source: str, now: float) -> float:
        """Return the seconds for which the source's guesses are used up; 0 where they are not."""
        failures = self._failures.get(source)
        if failures is None or failures.count < limits.KEY_GUESSES_MAX:
            return 0.0
        return max(0.0, failures.since + limits.KEY_GUESSES_S - now)

    def failed(self, source: str, now: float, *, keys: int = 1) -> None:
        """Count wrong keys."""
        before = self._failures.pop(source, None)
        if before is None or now - before.since >= limits.KEY_GUESSES_S:
            before = _Failures(since=now, count=0)
        self._failures[source] = _Failures(since=before.since, count=before.count + keys)
        self._forget(self._failures)

    def admitted(self, source: str) -> None:
        """Take note that the source has a good key."""
        self._known[source] = None
        self._known.move_to_end(source)
        self._forget(self._known)

    def _forget(self, kept: OrderedDict[str, _Failures] | OrderedDict[str, None]) -> None:
        while len(kept) > self._sources_max:
            kept.popitem(last=False)


def source_of(peer: str, forwarded: str, *, proxies: int) -> str:
    """Return who is counted as one: an IPv4 address, or the /64 network of an IPv6 address.

    `forwarded` is `X-Forwarded-For`, in which each proxy appends whom it heard the request from.
    Only what the last `proxies` of them wrote is believed; the rest is the caller's own text.
    """
    if proxies == 0:
        return site(peer)
    hops = [hop.strip() for hop in forwarded.split(",") if hop.strip()]
    return site(hops[-proxies]) if len(hops) >= proxies else site(peer)
