"""The last prices as a row of figures: each with its change, since when it is, and of what."""

from collections import Counter
from collections.abc import Sequence

from data_fetch.dashboard.chain_line import STYLE as FIGURES_STYLE
from data_fetch.dashboard.chain_line import Shown
from data_fetch.dashboard.numbers import clock_time, day_and_time, grouped
from data_fetch.reading.last_prices import LastPrice, Origin

# The name of the container that has them.
KEY = "last-prices"
STYLE = f"""{FIGURES_STYLE}<style>
.st-key-{KEY} .figures{{grid-template-columns:repeat(auto-fill,minmax(9.5rem,1fr))}}
</style>"""
MEANINGS = {
    Origin.TICK: "trade of {since}, received by the live feed of {source} at {received}",
    Origin.QUOTE: "quote of the minute, received from {source} at {received}",
}


def shown_prices(prices: Sequence[LastPrice]) -> list[Shown]:
    """The prices as figures."""
    return [_shown(each) for each in prices]


def origins(prices: Sequence[LastPrice]) -> str:
    """Where the prices come from, for the line under them."""
    counts = Counter(each.origin for each in prices)
    if not counts[Origin.TICK]:
        return "Last prices: quotes of the minute"
    if not counts[Origin.QUOTE]:
        return "Last prices: ticks of the live feed"
    return (
        f"Last prices: {counts[Origin.TICK]} of {len(prices)} are ticks of the live feed, the rest "
        "quotes of the minute"
    )


def _shown(price: LastPrice) -> Shown:
    change = "" if price.change_percent is None else f"{price.change_percent:+.2f} % · "
    meaning = MEANINGS[price.origin].format(
        since=day_and_time(price.since),
        source=price.source,
        received=day_and_time(price.received_at),
    )
    return Shown(
        title=price.symbol,
        text=grouped(price.price, 2),
        change=f"{change}{price.origin} {clock_time(price.since)}",
        hover=meaning,
    )
