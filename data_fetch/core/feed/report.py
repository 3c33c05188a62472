"""The state of a collector's feed as other processes read it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from data_fetch.core.feed.liveness import FeedState
from data_fetch.core.feed.recorder import RecordingStatus

# A collector reports every minute.
OUTDATED_AFTER = timedelta(minutes=3)
# Of the keys that are not delivered a report names so many.
MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class UnhonouredKey:
    """A live *key* that was requested in vain, for the *reason*. *symbol* is that of the listed
    symbol, or the name of the option contract; None where neither is known."""

    key: str
    symbol: str | None
    reason: str

    @property
    def line(self) -> str:
        """The same in words."""
        named = f" ({self.symbol})" if self.symbol else ""
        return f"{self.key}{named}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedReport:
    """The feed *at* an instant: its state with the cause, as `core.feed.liveness` has them.

    *keys* counts the requested keys by mode, *left_out* those without room by group of the plan;
    of the requested ones *awaited* have no entry yet, and *unhonoured* were requested in vain,
    the first of which *unhonoured_keys* names.
    *unread* counts since the start of the feed what it sent and was not read or not known, by kind,
    without zeros; *refusal* is its last message in text.
    *last_tick* is when the newest tick was received, *recording* how the messages are recorded;
    None where they are not.
    """

    at: datetime
    state: str
    cause: str
    since: datetime
    expected: bool
    keys: Mapping[str, int]
    left_out: Mapping[str, int]
    awaited: int
    unhonoured: int
    last_tick: datetime | None
    recording: RecordingStatus | None = None
    unhonoured_keys: Sequence[UnhonouredKey] = ()
    unread: Mapping[str, int] = field(default_factory=dict)
    refusal: str = ""

    def is_outdated(self, now: datetime) -> bool:
        """Whether no collector has reported for a while."""
        return now - self.at > OUTDATED_AFTER

    def runs(self, now: datetime) -> bool:
        """Whether a collector reports it, and has not stopped it."""
        return not self.is_outdated(now) and self.state != FeedState.STOPPED

    def document(self) -> dict[str, Any]:
        """The same in types of JSON."""
        return {
            "at": self.at.isoformat(),
            "state": self.state,
            "cause": self.cause,
            "since": self.since.isoformat(),
            "expected": self.expected,
            "keys": dict(self.keys),
            "left_out": dict(self.left_out),
            "awaited": self.awaited,
            "unhonoured": self.unhonoured,
            "unhonoured_keys": [asdict(each) for each in self.unhonoured_keys],
            "last_tick": None if self.last_tick is None else self.last_tick.isoformat(),
            "recording": None if self.recording is None else asdict(self.recording),
            "unread": dict(self.unread),
            "refusal": self.refusal,
        }


def report_of(document: Mapping[str, Any]) -> FeedReport:
    """The report that became *document*."""
    last = document["last_tick"]
    # A collector of an earlier version has neither; what else it lacks is empty.
    recording, named = document.get("recording"), document.get("unhonoured_keys", ())
    return FeedReport(
        **{
            **document,
            "at": datetime.fromisoformat(document["at"]),
            "since": datetime.fromisoformat(document["since"]),
            "last_tick": None if last is None else datetime.fromisoformat(last),
            "recording": None if recording is None else RecordingStatus(**recording),
            "unhonoured_keys": tuple(UnhonouredKey(**each) for each in named),
        }
    )
