"""Whether the trading day can begin: one finding for each thing that it needs. Pure.

`no-go`: collecting would fail, or would be wrong. `warning`: it would be incomplete, or a person
should know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from data_fetch.core.clock import IST
from data_fetch.core.market.session import Session
from data_fetch.core.provider_tokens import ProviderToken

# The provider's Date header is exact to a second, and a response takes some time.
USUAL_OFFSET, LARGEST_OFFSET = timedelta(seconds=2), timedelta(seconds=10)
# Some days' rows of chains; and what the temporary files of a minute may take.
LITTLE_DISK_BYTES, LEAST_DISK_BYTES = 2_000_000_000, 500_000_000
# A running collector refreshes the calendar each morning; three of them have passed.
OLD_CALENDAR = timedelta(days=3)


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    NO_GO = "no-go"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of one thing that the day needs; *hint* is the fix if it is not `ok`."""

    name: str
    verdict: Verdict
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """The findings at the instant *at*, for its trading date."""

    at: datetime
    findings: Sequence[Finding]

    @property
    def go(self) -> bool:
        return not self._with(Verdict.NO_GO)

    @property
    def reasons(self) -> list[str]:
        """Why it is a no-go, a line for each finding."""
        return [f"{each.name}: {each.message}" for each in self._with(Verdict.NO_GO)]

    @property
    def warnings(self) -> list[str]:
        return [f"{each.name}: {each.message}" for each in self._with(Verdict.WARNING)]

    @property
    def line(self) -> str:
        """The result in one line for people."""
        day = f"{self.at.astimezone(IST):%a %d %b %Y, %H:%M} IST"
        if not self.go:
            return f"No-go for {day}: {'; '.join(self.reasons)}"
        warnings = f", with warnings: {'; '.join(self.warnings)}" if self.warnings else ""
        return f"Go for {day}{warnings}"

    def document(self) -> dict[str, Any]:
        return {
            "verdict": "go" if self.go else "no-go",
            "reasons": self.reasons,
            "warnings": self.warnings,
            "checks": [
                {
                    "name": each.name,
                    "verdict": str(each.verdict),
                    "message": each.message,
                    "hint": each.hint,
                }
                for each in self.findings
            ],
        }

    def _with(self, verdict: Verdict) -> list[Finding]:
        return [each for each in self.findings if each.verdict is verdict]


def judge_token(token: ProviderToken, closes_at: datetime, now: datetime, renew: str) -> Finding:
    """A token has to be valid until the market closes at *closes_at*; *renew* is how to get
    another one. Whether the provider takes it is another question."""
    ends = token.expires_at
    if ends is None:
        return Finding("token", Verdict.OK, f"from {token.origin}; when it ends is not in it")
    shown = f"{token.kind} token, until {ends.astimezone(IST):%a %d %b %H:%M} IST"
    if ends <= now:
        return Finding("token", Verdict.NO_GO, f"{shown}: it has ended", renew)
    if ends < closes_at:
        close = f"{closes_at.astimezone(IST):%H:%M}"
        return Finding("token", Verdict.NO_GO, f"{shown}: before the close at {close}", renew)
    return Finding("token", Verdict.OK, shown)


def judge_session(
    sessions: Sequence[Session], refreshed_at: datetime | None, now: datetime
) -> Finding:
    """The hours of today have to be reviewed, or confirmed by a provider some days ago at most."""
    windows = list(dict.fromkeys(str(each) for one in sessions for each in one.windows))
    shown = f"open {', '.join(windows)}" if windows else f"closed ({sessions[0].note})"
    if not any(each.provisional for each in sessions):
        return Finding("calendar", Verdict.OK, shown)
    if refreshed_at is not None and timedelta(0) <= now - refreshed_at <= OLD_CALENDAR:
        return Finding("calendar", Verdict.WARNING, f"{shown}, by the provider and not reviewed")
    return Finding(
        "calendar",
        Verdict.NO_GO,
        f"{shown} is provisional: no provider has confirmed it",
        "Refresh it: data-fetch calendar refresh",
    )


def judge_master(as_of: date, expected: date, warning: str | None) -> Finding:
    """The instrument master has to be that of *expected*, the newest that there can be."""
    if as_of < expected:
        return Finding(
            "master",
            Verdict.NO_GO,
            f"of {as_of}, not of {expected}: new contracts are missing",
            "It is fetched again at each start: see data-fetch doctor",
        )
    if warning is not None:
        return Finding("master", Verdict.WARNING, f"of {as_of}: {warning}")
    return Finding("master", Verdict.OK, f"of {as_of}")


def judge_symbols(listed: int, unresolved: Sequence[str]) -> Finding:
    """Of the *listed* symbols at least one has to have an instrument, and all should."""
    resolved = listed - len(unresolved)
    message = f"{resolved} of {listed} have an instrument"
    if not resolved:
        return Finding("symbols", Verdict.NO_GO, message, "See why: data-fetch universe")
    if unresolved:
        named = f"{message}; not {', '.join(unresolved[:3])}"
        return Finding("symbols", Verdict.WARNING, named, "See why: data-fetch universe")
    return Finding("symbols", Verdict.OK, message)


def judge_store(name: str, degraded: str | None) -> Finding:
    """A store that can be written to; *degraded* is why it stands in for the configured one."""
    if degraded is not None:
        return Finding("store", Verdict.WARNING, f"{name}: rows wait to be brought over", degraded)
    return Finding("store", Verdict.OK, f"{name} takes rows, schema up to date")


def judge_disk(free: Mapping[str, int]) -> Finding:
    """The free bytes by folder."""
    folder, least = min(free.items(), key=lambda each: each[1])
    message = f"{least / 1e9:.1f} GB free in {folder}"
    if least < LEAST_DISK_BYTES:
        return Finding("disk", Verdict.NO_GO, message, "Make room.")
    if least < LITTLE_DISK_BYTES:
        return Finding("disk", Verdict.WARNING, message, "Make room.")
    return Finding("disk", Verdict.OK, message)


def judge_rate_windows(unknown_until: datetime | None, opens_at: datetime | None) -> Finding:
    """What the provider's limits allow has to be known when the market opens."""
    if unknown_until is None:
        return Finding("limits", Verdict.OK, "the requests of the last 30 minutes are known")
    until = f"{unknown_until.astimezone(IST):%H:%M:%S}"
    message = f"earlier requests are not known; none is sent before {until} IST"
    late = opens_at is not None and unknown_until > opens_at
    return Finding("limits", Verdict.NO_GO if late else Verdict.WARNING, message)


def judge_clock(offset: timedelta) -> Finding:
    """How far this machine's clock is ahead of the provider's."""
    message = f"{offset.total_seconds():+.0f} s against the provider's"
    fix = "Switch time synchronisation on (timedatectl set-ntp true): slots are minutes."
    if abs(offset) > LARGEST_OFFSET:
        return Finding("clock", Verdict.NO_GO, message, fix)
    if abs(offset) > USUAL_OFFSET:
        return Finding("clock", Verdict.WARNING, message, fix)
    return Finding("clock", Verdict.OK, message)
