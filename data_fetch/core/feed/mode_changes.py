"""Which changes of modes the feed has honoured. Pure.

Nothing acknowledges a change, and of a quiet key nothing may come for minutes: a packet in the new
mode proves it, one in another mode disproves it, and silence says nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from data_fetch.core.feed.modes import Mode
from data_fetch.core.feed.plan import Request, mode_changes
from data_fetch.core.feed.ticks import Tick


@dataclass(slots=True)
class _Change:
    mode: Mode
    sent_at: datetime
    again: bool = False
    # The mode in which the key goes on.
    other: Mode | None = None


class ModeChanges:
    """The keys of one connection whose mode was changed, and which have not been seen in it.

    A key that goes on in another mode for longer than *honoured_within* is requested once more, and
    reported as unhonoured after as long again.
    """

    def __init__(self, honoured_within: timedelta) -> None:
        self._honoured_within = honoured_within
        self._pending: dict[str, _Change] = {}
        self._unhonoured: dict[str, _Change] = {}

    @property
    def unhonoured(self) -> Mapping[str, str]:
        """The keys that go on in another mode, with the reason."""
        return {
            key: f"the feed goes on in mode {each.other}, after two requests for {each.mode}"
            for key, each in self._unhonoured.items()
        }

    def begin(self) -> None:
        """A connection begins: nothing is changed on it yet."""
        self._pending.clear()
        self._unhonoured.clear()

    def sent(self, request: Request, at: datetime) -> None:
        """A change of modes was sent."""
        assert request.mode is not None
        for key in request.keys:
            known = self._pending.get(key)
            again = known is not None and known.mode is request.mode
            self._pending[key] = _Change(request.mode, at, again)
            self._unhonoured.pop(key, None)

    def drop(self, keys: Iterable[str]) -> None:
        """*keys* are not wanted any more."""
        for key in keys:
            self._pending.pop(key, None)
            self._unhonoured.pop(key, None)

    def seen(self, ticks: Mapping[str, Tick]) -> None:
        """A message brought *ticks*."""
        for changes in (self._pending, self._unhonoured):
            for key in [each for each in changes if each in ticks]:
                change, mode = changes[key], ticks[key].mode
                if mode is change.mode:
                    del changes[key]
                else:
                    change.other = mode

    def overdue(self, now: datetime) -> list[Request]:
        """What to send again; a key that goes on in another mode after two requests becomes
        unhonoured."""
        late = {
            key: each
            for key, each in self._pending.items()
            if each.other is not None and now - each.sent_at > self._honoured_within
        }
        for key in [key for key, each in late.items() if each.again]:
            self._unhonoured[key] = self._pending.pop(key)
        return mode_changes({key: each.mode for key, each in late.items() if not each.again})
