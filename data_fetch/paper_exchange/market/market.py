"""The paper market at an instant: the last trades, and the rows so far.

Every response of the exchange is built from it, so quotes, candles and chains agree.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from data_fetch.core.market.calendar import FUTURES_AND_OPTIONS, MarketCalendar
from data_fetch.paper_exchange.market.chain_prices import ChainPrices
from data_fetch.paper_exchange.market.contract_prices import ContractPrices
from data_fetch.paper_exchange.market.contracts import Contract, ListedContracts
from data_fetch.paper_exchange.market.days import TRADES, Moment, TradingDays
from data_fetch.paper_exchange.market.listings import Listing, listings_for
from data_fetch.paper_exchange.market.master import Master
from data_fetch.paper_exchange.market.prices import PriceModel, Rows

Tradable = Listing | Contract


@dataclass(frozen=True, slots=True)
class LastTrade:
    """A quote in rupees and units: *volume* is the day's, *cp* the previous close."""

    price: float
    volume: int
    size: int
    cp: float


class PaperMarket:
    """Invented trading in *symbols*, the same for the same *seed*."""

    def __init__(
        self, symbols: Sequence[str], calendar: MarketCalendar, *, seed: int, illiquid: float
    ) -> None:
        self.days = TradingDays(calendar)
        self.prices = PriceModel(self.days, seed, illiquid)
        self.contract_prices = ContractPrices(self.prices)
        listings = listings_for(symbols)
        self.contracts = ListedContracts(listings, self.prices)
        self.chains = ChainPrices(self.days, self.contracts, self.contract_prices)
        self.master = Master(listings, self.prices, self.contracts, self.contract_prices)
        self.listings = {listing.key: listing for listing in listings}
        self.underlyings = {
            listing.symbol: listing for listing in listings if listing.has_derivatives
        }

    def find(self, key: str, day: date) -> Tradable | None:
        """The instrument with *key* on *day*, or None."""
        listing = self.listings.get(key)
        if listing is not None or not key.startswith("NSE_FO|"):
            return listing
        return self.contracts.on(day).get(key)

    def rows(self, tradable: Tradable, day: date) -> Rows:
        """All rows of a trading day, those in the future included."""
        if isinstance(tradable, Contract):
            return self.contract_prices.rows(tradable, day)
        return self.prices.rows(tradable, day)

    def trades_on(self, tradable: Tradable, day: date) -> bool:
        group = FUTURES_AND_OPTIONS if isinstance(tradable, Contract) else tradable.group
        return bool(self.days.windows(day, group))

    def last_trade(self, tradable: Tradable, at: Moment) -> LastTrade:
        """The quote at an instant.

        From midnight (IST) of a trading day until its first trade it is the previous close
        with volume 0, as at a provider whose new day has begun. On other days it is the last
        quote of the session before.
        """
        return last_trade_of(*self.rows_at(tradable, at))

    def chain_spot(self, underlying: Listing, at: Moment) -> float:
        """The price of the underlying in option chains of both providers.

        Where the closing auction stops the underlying at 15:15, it is that price for the rest
        of the day, though options trade on; it is never the auction's price.
        """
        rows, row, trades = self.rows_at(underlying, at)
        if row < 0:
            return rows.previous_close
        if row < rows.hours.continuous:
            return rows.price(row, trades)
        return rows.price(rows.hours.continuous - 1, TRADES)

    def rows_at(self, tradable: Tradable, at: Moment) -> tuple[Rows, int, int]:
        """The rows of the latest session, its last row with a trade, and that row's trade count.

        The row is -1 before the first trade of a trading day.
        """
        day = self.session_day(tradable, at)
        rows = self.rows(tradable, day)
        return rows, *position_in(rows, day, at)

    def session_day(self, tradable: Tradable, at: Moment) -> date:
        """The date of *at* if it is a trading day, else the last one before it."""
        return at.day if self.trades_on(tradable, at.day) else self.days.before(at.day)


def position_in(rows: Rows, day: date, at: Moment) -> tuple[int, int]:
    """The last row of *day* with a trade at an instant, and that row's trade count."""
    if day == at.day:
        return rows.hours.position(at.seconds)
    return len(rows.close) - 1, TRADES


def last_trade_of(rows: Rows, row: int, trades: int) -> LastTrade:
    """The quote after *trades* of the trades of *row*; row -1 is before the day's first."""
    if row < 0:
        return LastTrade(rows.previous_close, 0, 0, rows.previous_close)
    price, volume = rows.price(row, trades), rows.traded_by(row, trades)
    return LastTrade(price, volume, rows.trade_size, rows.previous_close)
