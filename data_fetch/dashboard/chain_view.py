"""Which chain a page shows, and how: what its address remembers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from data_fetch.core.errors import SetupError
from data_fetch.dashboard.ladder import COLUMNS, USUAL_COLUMNS
from data_fetch.dashboard.numbers import day_and_time
from data_fetch.reading.chain_metrics import DAY_OPEN, FIRST_OF_DAY, PREVIOUS_CLOSE, ComparedWith
from data_fetch.reading.instants import date_of, exact_text, instant

BASELINES: Mapping[str, str] = {
    PREVIOUS_CLOSE: "previous close",
    DAY_OPEN: "opening of the day",
    "5m": "5 minutes before",
    "15m": "15 minutes before",
    "60m": "60 minutes before",
}
OTHER_BASELINES = {FIRST_OF_DAY: "first snapshot of the day"}
AROUND: Mapping[str, int | None] = {"10": 10, "15": 15, "25": 25, "all": None}
USUAL_AROUND = "15"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainView:
    """A chain of *symbol*: of *expiry*, else the nearest; at *at*, else the newest.

    Changes are since *baseline*: a key of BASELINES or the ISO text of an instant.
    """

    symbol: str | None = None
    expiry: date | None = None
    at: datetime | None = None
    baseline: str = PREVIOUS_CLOSE
    around: str = USUAL_AROUND
    columns: tuple[str, ...] = USUAL_COLUMNS

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> "ChainView":
        """The view of an address; what it does not name, or names wrongly, is as usual.

        Raises SetupError for what is not a date or an instant.
        """
        baseline = parameters.get("baseline", PREVIOUS_CLOSE)
        if baseline not in BASELINES and instant(baseline) is None:
            baseline = PREVIOUS_CLOSE
        named = parameters.get("columns", "").split(",")
        around, expiry = parameters.get("strikes", USUAL_AROUND), parameters.get("expiry")
        return cls(
            symbol=parameters.get("symbol"),
            expiry=date_of(expiry) if expiry else None,
            at=instant(parameters.get("at")),
            baseline=baseline,
            around=around if around in AROUND else USUAL_AROUND,
            columns=tuple(name for name in COLUMNS if name in named) or USUAL_COLUMNS,
        )

    def parameters(self) -> dict[str, str]:
        """The address of the view, without what is as usual."""
        usual = ChainView()
        named = {
            "symbol": self.symbol,
            "expiry": None if self.expiry is None else self.expiry.isoformat(),
            "at": exact_text(self.at),
            "baseline": None if self.baseline == usual.baseline else self.baseline,
            "strikes": None if self.around == usual.around else self.around,
            "columns": None if self.columns == usual.columns else ",".join(self.columns),
        }
        return {name: value for name, value in named.items() if value is not None}


def lenient_view(parameters: Mapping[str, str]) -> tuple[ChainView, str | None]:
    """The view of an address, and the sentence for a part of it that cannot be read."""
    try:
        return ChainView.of(parameters), None
    except SetupError as problem:
        return ChainView(symbol=parameters.get("symbol")), f"{problem.message}. {problem.hint}"


def days_left(expiry: date, today: date) -> str:
    """An expiry with the days to it: 22 Sep · 6 d."""
    days = (expiry - today).days
    left = "over" if days < 0 else "today" if not days else f"{days} d"
    return (
        f"{expiry:%d %b %Y} · {left}" if expiry.year != today.year else f"{expiry:%d %b} · {left}"
    )


def baseline_text(baseline: ComparedWith) -> str:
    """What changes are measured from, with the instant of its snapshot."""
    name = {**BASELINES, **OTHER_BASELINES}.get(baseline.name)
    since = None if baseline.since is None else day_and_time(baseline.since)
    if name is None or since is None:
        return name or f"the snapshot of {since}"
    return f"{name} ({since})"


def expiries_offered(running: Sequence[date], wanted: date | None) -> list[date]:
    """The running expiries, nearest first, with the *wanted* one though it may have passed."""
    return sorted({*running, *([] if wanted is None else [wanted])})
