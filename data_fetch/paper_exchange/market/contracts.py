"""Futures and options of the paper exchange: the contracts listed on a day, and their tokens.

NSE's rules: three monthly expiries, weekly ones for NIFTY; on Thursdays until August 2025 and
on Tuesdays since, on the trading day before when that is a holiday. A strike remains listed
until the contract expires.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from data_fetch.paper_exchange.market.days import DAY, TradingDays
from data_fetch.paper_exchange.market.listings import Listing
from data_fetch.paper_exchange.market.prices import PriceModel
from data_fetch.paper_exchange.market.seeded_random import fingerprint

WEEK = timedelta(days=7)
TUESDAY, THURSDAY = 1, 3
TUESDAYS_FROM = date(2025, 9, 1)
MONTHLIES, WEEKLIES = 3, 4
LISTED_AHEAD = timedelta(days=95)
STRIKES_EACH_SIDE, INDEX_STRIKES_EACH_SIDE = 5, 15

CALL, PUT = "CE", "PE"
WEEKLY_MONTHS = "123456789OND"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """A future (*strike* 0) or an option; *token* is its number on the exchange."""

    token: str
    underlying: Listing
    expiry: date
    kind: str
    strike: float
    weekly: bool

    @property
    def key(self) -> str:
        return f"NSE_FO|{self.token}"

    @property
    def trading_symbol(self) -> str:
        """The trading symbol in the instrument master: `NIFTY 27000 CE 29 DEC 26`."""
        day = _format_expiry(self.expiry)
        if self.kind == "FUT":
            return f"{self.underlying.symbol} FUT {day}"
        return f"{self.underlying.symbol} {self.strike:g} {self.kind} {day}"

    @property
    def label(self) -> str:
        """The name in quote responses: `NSE_FO:RELIANCE26SEP1300CE`, `NSE_FO:NIFTY2591625000CE`."""
        symbol, year = self.underlying.symbol, f"{self.expiry:%y}"
        if self.kind == "FUT":
            return f"NSE_FO:{symbol}{year}{self.expiry:%b}FUT".upper()
        month = f"{self.expiry:%b}".upper()
        if self.weekly:
            month = f"{WEEKLY_MONTHS[self.expiry.month - 1]}{self.expiry:%d}"
        return f"NSE_FO:{symbol}{year}{month}{self.strike:g}{self.kind}"


class ListedContracts:
    """The contracts listed on a day."""

    def __init__(self, listings: tuple[Listing, ...], prices: PriceModel) -> None:
        self._underlyings = tuple(listing for listing in listings if listing.has_derivatives)
        self._prices = prices
        self._days = prices.days
        self.on = lru_cache(maxsize=2)(self._on)
        self.expiries = lru_cache(maxsize=64)(self._expiries)
        self.strikes = lru_cache(maxsize=64)(self._all_strikes)

    def _on(self, day: date) -> Mapping[str, Contract]:
        """All contracts by instrument key, grouped by underlying."""
        contracts = (
            contract for underlying in self._underlyings for contract in self.of(underlying, day)
        )
        return {contract.key: contract for contract in contracts}

    def of(self, underlying: Listing, day: date) -> Iterator[Contract]:
        """The live contracts of one underlying: per expiry the future, then the options."""
        for expiry, weekly in self.listed(underlying, day):
            if not weekly:
                yield _contract(underlying, expiry, "FUT", 0.0, weekly)
            yield from self._options(underlying, expiry, day, weekly)

    def options(self, underlying: Listing, expiry: date, day: date) -> tuple[Contract, ...]:
        """The options of one expiry, lowest strike first, the call before the put."""
        weekly = dict(self.listed(underlying, day)).get(expiry)
        return () if weekly is None else tuple(self._options(underlying, expiry, day, weekly))

    def listed(self, underlying: Listing, day: date) -> tuple[tuple[date, bool], ...]:
        """The live expiries of *underlying*, nearest first, with whether each is weekly."""
        return self.expiries(day, underlying.weekly) if underlying.has_derivatives else ()

    def _options(
        self, underlying: Listing, expiry: date, day: date, weekly: bool
    ) -> Iterator[Contract]:
        for strike in self._strikes(underlying, expiry, day):
            for kind in (CALL, PUT):
                yield _contract(underlying, expiry, kind, strike, weekly)

    def _all_strikes(self, underlying: Listing, day: date) -> tuple[float, ...]:
        """The strikes of all live expiries of *underlying*, lowest first."""
        found: set[float] = set()
        for expiry, _ in self.listed(underlying, day):
            found.update(self._strikes(underlying, expiry, day))
        return tuple(sorted(found))

    def _expiries(self, day: date, weekly: bool) -> tuple[tuple[date, bool], ...]:
        """The live expiries on *day*, nearest first, with whether each is weekly."""
        monthlies = [expiry for expiry in _monthly_expiries(self._days, day) if expiry >= day]
        found = dict.fromkeys(monthlies[:MONTHLIES], False)
        if weekly:
            for weeks in range(-1, WEEKLIES + 1):
                expiry = _adjusted(self._days, _weekday_of(day + weeks * WEEK))
                if expiry >= day:
                    found.setdefault(expiry, expiry not in monthlies)
        return tuple(sorted(found.items()))

    def _strikes(self, underlying: Listing, expiry: date, day: date) -> list[float]:
        """Strikes around the price at listing, extended at the start of each month."""
        step = underlying.strike_step
        side = STRIKES_EACH_SIDE if underlying.isin else INDEX_STRIKES_EACH_SIDE
        steps: set[int] = set()
        listed_on = expiry - LISTED_AHEAD
        while listed_on <= day:
            middle = round(self._prices.level(underlying, listed_on) / step)
            steps.update(range(max(1, middle - side), middle + side + 1))
            listed_on = (listed_on.replace(day=1) + timedelta(days=32)).replace(day=1)
        return [float(count * step) for count in sorted(steps)]


def _contract(
    underlying: Listing, expiry: date, kind: str, strike: float, weekly: bool
) -> Contract:
    # The exchange has five or six digits. Twelve make a collision unlikely, because the token
    # is a hash of the contract's name and must not depend on what else is listed.
    token = fingerprint("contract", underlying.symbol, expiry, kind, strike) % 10**12
    return Contract(
        token=str(token),
        underlying=underlying,
        expiry=expiry,
        kind=kind,
        strike=strike,
        weekly=weekly,
    )


@lru_cache(maxsize=64)
def _format_expiry(expiry: date) -> str:
    return f"{expiry:%d %b %y}".upper()


def _monthly_expiries(days: TradingDays, day: date) -> list[date]:
    """Last Thursdays or Tuesdays of this month and the next three, adjusted for holidays."""
    expiries = []
    first = day.replace(day=1)
    for _ in range(MONTHLIES + 1):
        following = (first + timedelta(days=32)).replace(day=1)
        last = following - DAY
        expiry = last - (last.weekday() - _expiry_weekday(last)) % 7 * DAY
        expiries.append(_adjusted(days, expiry))
        first = following
    return expiries


def _weekday_of(day: date) -> date:
    """The expiry weekday at or after *day*."""
    expiry = day + (TUESDAY - day.weekday()) % 7 * DAY
    if expiry >= TUESDAYS_FROM:
        return expiry
    return day + (THURSDAY - day.weekday()) % 7 * DAY


def _expiry_weekday(day: date) -> int:
    return TUESDAY if day >= TUESDAYS_FROM else THURSDAY


def _adjusted(days: TradingDays, expiry: date) -> date:
    return days.at_or_before(expiry)
