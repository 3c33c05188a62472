"""The streaming feed of a collector: its state now, and the intervals without it today."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from data_fetch.core.feed.report import FeedReport
from data_fetch.core.settings import Settings
from data_fetch.reading.instants import ist_text, midnight_before
from data_fetch.reading.records import clock_of, store_of
from data_fetch.storage.database.store import Store
from data_fetch.storage.feed import StoredDisconnect, disconnects_since, feed_report

NOT_RUNNING = "not running"
UNDELIVERED = (
    "Requests bring what is missing. Each new connection requests the keys again; if that does not "
    "help, data-fetch universe shows which symbols the provider still lists."
)
NOT_KNOWN = {
    "junk": "unreadable messages",
    "unknown_fields": "unknown fields",
    "unknown_words": "unknown words",
}


@dataclass(frozen=True, slots=True)
class FeedSummary:
    """The last *report* of a collector, as of *now*, and the *disconnects* of today (IST)."""

    report: FeedReport
    disconnects: Sequence[StoredDisconnect]
    now: datetime

    @property
    def state(self) -> str:
        """The state; ``not running`` when no collector has reported for a while."""
        return NOT_RUNNING if self.report.is_outdated(self.now) else self.report.state

    @property
    def runs(self) -> bool:
        """Whether a collector reports it, and has not stopped it."""
        return self.report.runs(self.now)

    @property
    def cause(self) -> str:
        if self.report.is_outdated(self.now):
            return f"no collector has reported its feed since {ist_text(self.report.at)}"
        return self.report.cause

    @property
    def tick_age(self) -> timedelta | None:
        """How old the newest tick was at the report."""
        last = self.report.last_tick
        return None if last is None else self.report.at - last

    @property
    def keys_line(self) -> str:
        """The requested keys in words."""
        keys = ", ".join(f"{count} {mode}" for mode, count in self.report.keys.items())
        without_room = sum(self.report.left_out.values())
        parts = [keys or "no keys"]
        if without_room:
            parts.append(f"{without_room} without room")
        if self.report.unhonoured:
            parts.append(f"{self.report.unhonoured} not delivered as requested")
        return ", ".join(parts)

    @property
    def unread_lines(self) -> list[str]:
        """What the running feed has sent since its start that was a refusal, was not read or is not
        known, in words."""
        if not self.runs:
            return []
        unread, lines = self.report.unread, []
        if refusals := unread.get("refusals"):
            lines.append(f"refusals in text: {refusals:,}, the last one: {self.report.refusal}")
        strange = [
            f"{unread[kind]:,} {words}" for kind, words in NOT_KNOWN.items() if kind in unread
        ]
        if strange:
            lines.append(f"not understood: {', '.join(strange)}; a newer version may know them")
        return lines

    @property
    def then(self) -> str | None:
        """What to do about keys that the running feed does not deliver; None without any."""
        return UNDELIVERED if self.report.unhonoured and self.runs else None

    def undelivered(self, most: int) -> list[str]:
        """A line for each of at most *most* keys that the running feed does not deliver, with its
        reason, and what to do; none when all are delivered, or the collector names none."""
        shown, then = self.report.unhonoured_keys[:most], self.then
        if not shown or then is None:
            return []
        more = self.report.unhonoured - len(shown)
        return [
            *(each.line for each in shown),
            *([f"and {more:,} more"] if more > 0 else []),
            then,
        ]

    def document(self) -> dict[str, Any]:
        age, recording = self.tick_age, self.report.recording
        return {
            "reported_at": ist_text(self.report.at),
            "state": self.state,
            "cause": self.cause,
            "since": ist_text(self.report.since),
            "expected": self.report.expected,
            "keys": dict(self.report.keys),
            "left_out": dict(self.report.left_out),
            "awaited": self.report.awaited,
            "unhonoured": self.report.unhonoured,
            "unhonoured_keys": [asdict(each) for each in self.report.unhonoured_keys],
            "last_tick": ist_text(self.report.last_tick),
            "last_tick_age_seconds": None if age is None else age.total_seconds(),
            "recording": None if recording is None else asdict(recording),
            "unread": dict(self.report.unread),
            "refusal": self.report.refusal,
            "disconnects": [
                {
                    "from": ist_text(each.began),
                    "to": ist_text(each.ended),
                    "cause": each.cause,
                    "keys": each.keys,
                    "sample": list(each.sample),
                }
                for each in self.disconnects
            ],
        }


def feed_summary(settings: Settings) -> FeedSummary | None:
    """The feed of the configured store; None when no collector ever had one. Raises
    StoreUnreachable."""
    with store_of(settings) as store:
        return feed_in(store, clock_of(settings).now())


def feed_in(store: Store, now: datetime) -> FeedSummary | None:
    """The same from *store* at *now*."""
    report = feed_report(store)
    if report is None:
        return None
    return FeedSummary(report, disconnects_since(store, midnight_before(now)), now)
