"""The place of the rate windows, and what keeps requests back at present."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from data_fetch.core.errors import WindowsUnavailable
from data_fetch.core.settings import Settings
from data_fetch.reading.instants import ist_text
from data_fetch.runtime.pauses import required_pauses, unknown_until
from data_fetch.runtime.rate_windows import windows_place


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowsStatus:
    """The *place* of the rate windows, and the pauses that providers require, by API.

    Before *unknown_until* nothing is sent, because the windows were lost; *problem* is why they do
    not answer.
    """

    place: str
    pauses: Mapping[str, datetime] = field(default_factory=dict)
    unknown_until: datetime | None = None
    problem: str | None = None

    def document(self) -> dict[str, Any]:
        return {
            "pauses": [{"api": api, "until": ist_text(at)} for api, at in self.pauses.items()],
            "rate_windows": {
                "place": self.place,
                "unknown_until": ist_text(self.unknown_until),
                "problem": self.problem,
            },
        }


def windows_status(settings: Settings) -> WindowsStatus:
    """Raises nothing when the windows do not answer: that is a part of the status."""
    place = windows_place(settings)
    try:
        return WindowsStatus(
            place=place,
            pauses=required_pauses(settings),
            unknown_until=unknown_until(settings),
        )
    except WindowsUnavailable as problem:
        return WindowsStatus(place=place, problem=str(problem))
