"""Which subscriptions the feed has honoured. Pure.

Nothing acknowledges a request: an entry for the key in a message is the only proof.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from data_fetch.core.feed.mode_changes import ModeChanges
from data_fetch.core.feed.modes import Mode
from data_fetch.core.feed.plan import Method, Request, subscriptions
from data_fetch.core.feed.ticks import Tick

NO_ENTRY = "the feed has sent nothing for it, after two requests"


class KeyState(StrEnum):
    """``awaited``: requested, without an entry so far; ``quiet``: honoured, but without a tick for
    longer than is usual for it; ``unhonoured``: requested twice, without an entry."""

    TICKING = "ticking"
    QUIET = "quiet"
    AWAITED = "awaited"
    UNHONOURED = "unhonoured"


@dataclass(slots=True)
class _Awaited:
    mode: Mode
    sent_at: datetime
    again: bool = False


class Subscriptions:
    """The requested keys of one connection that have no entry yet, or are in another mode.

    A key without one is requested once more *honoured_within* later, and reported as unhonoured
    after as long again, with the feed's last refusal as the reason if there was one.
    """

    def __init__(self, honoured_within: timedelta) -> None:
        self._honoured_within = honoured_within
        self._awaited: dict[str, _Awaited] = {}
        self._unhonoured: dict[str, str] = {}
        self._changes = ModeChanges(honoured_within)
        self._refusal = ""

    @property
    def awaited(self) -> frozenset[str]:
        return frozenset(self._awaited)

    @property
    def unhonoured(self) -> Mapping[str, str]:
        """The keys that were not honoured, with the reason."""
        return {**self._changes.unhonoured, **self._unhonoured}

    def begin(self) -> None:
        """A connection begins: nothing is requested on it yet."""
        self._awaited.clear()
        self._unhonoured.clear()
        self._changes.begin()
        self._refusal = ""

    def sent(self, request: Request, at: datetime) -> None:
        """*request* was sent."""
        match request.method:
            case Method.UNSUBSCRIBE:
                self._changes.drop(request.keys)
                for key in request.keys:
                    self._awaited.pop(key, None)
                    self._unhonoured.pop(key, None)
            case Method.CHANGE_MODE:
                assert request.mode is not None
                self._changes.sent(request, at)
                for key in request.keys:
                    if key in self._awaited:
                        self._awaited[key].mode = request.mode
            case Method.SUBSCRIBE:
                assert request.mode is not None
                for key in request.keys:
                    known = self._awaited.get(key)
                    self._awaited[key] = _Awaited(request.mode, at, again=known is not None)

    def refused(self, text: str) -> None:
        """The feed sent a refusal that names no key."""
        self._refusal = text

    def seen(self, keys: Container[str], ticks: Mapping[str, Tick]) -> None:
        """A message has entries for *keys*, of which *ticks* were taken."""
        self._changes.seen(ticks)
        if self._awaited:
            for key in [each for each in self._awaited if each in keys]:
                del self._awaited[key]
        if self._unhonoured:
            for key in [each for each in self._unhonoured if each in keys]:
                del self._unhonoured[key]

    def overdue(self, now: datetime, alive_since: datetime | None) -> list[Request]:
        """What to send again; a key for which this has been done becomes unhonoured.

        *alive_since* is since when other prices have been coming; while none come (None) a missing
        entry says nothing.
        """
        if alive_since is None:
            return []
        return [*self._subscribed_again(now, alive_since), *self._changes.overdue(now)]

    def _subscribed_again(self, now: datetime, alive_since: datetime) -> list[Request]:
        late = {
            key: each
            for key, each in self._awaited.items()
            if now - max(each.sent_at, alive_since) > self._honoured_within
        }
        for key in [key for key, each in late.items() if each.again]:
            del self._awaited[key]
            self._unhonoured[key] = (
                f"the feed refused: {self._refusal}" if self._refusal else (NO_ENTRY)
            )
        return subscriptions({key: each.mode for key, each in late.items() if not each.again})


def key_states(
    keys: Iterable[str],
    ticks: Mapping[str, Tick],
    *,
    awaited: Container[str],
    unhonoured: Container[str],
    now: datetime,
    usual: Mapping[str, timedelta],
) -> dict[str, KeyState]:
    """The state of each of *keys*, of which some are *awaited* or *unhonoured*.

    *usual* is the longest usual time between two ticks of a key; one that it lacks is never quiet,
    since nothing is known of its rate.
    """
    states = {}
    for key in keys:
        tick, longest = ticks.get(key), usual.get(key)
        if key in unhonoured:
            states[key] = KeyState.UNHONOURED
        elif key in awaited:
            states[key] = KeyState.AWAITED
        elif longest is not None and (tick is None or now - tick.received_at > longest):
            states[key] = KeyState.QUIET
        else:
            states[key] = KeyState.TICKING
    return states
