"""A ladder with what a feed has sent since the poll: which cells change, and what says so."""

import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import pytest
from option_chains import AT, CALL, PUT, chain_of, leg
from shown_chains import shown

from data_fetch.core.chains.chains import ChainSource, OptionType, QuantityUnit
from data_fetch.core.chains.contract_names import Contract
from data_fetch.dashboard.ladder import COLUMNS, Ladder, ladder_of
from data_fetch.dashboard.ladder_html import ladder_html
from data_fetch.dashboard.ladder_ticks import TICKED, ChainFeed
from data_fetch.reading.feed_ticks import AWAY
from data_fetch.reading.option_ticks import OptionTick

SECOND = timedelta(seconds=1)
# The chain was polled at AT, and is looked at half a minute later.
NOW = AT + 30 * SECOND
IN_LOTS = {"unit": QuantityUnit.CONTRACTS, "source": ChainSource.NSE}
NOTHING_SENT = dict.fromkeys(
    ("bid", "ask", "volume", "oi", "iv", "delta", "gamma", "theta", "vega")
)


def tick(after_poll: float, **sent: Any) -> OptionTick:
    """A tick of a call of 100 that was received so many seconds after the poll."""
    return OptionTick(
        contract=Contract("NIFTY", date(2026, 9, 22), OptionType.CALL, 100.0),
        **{"ltp": 8.0, **NOTHING_SENT, **sent},
        source="upstox",
        received_at=AT + after_poll * SECOND,
    )


def polled(**facts: Any) -> Ladder:
    legs = [
        leg(100, CALL, oi=130.0, prev_oi=100.0, ltp=7.5, prev_close=7.0),
        leg(100, PUT, oi=50.0, ltp=2.5),
    ]
    return ladder_of(shown(chain_of(legs, spot=100.0, **facts)))


def seen(ticks: Mapping[OptionType, OptionTick], ladder: Ladder | None = None) -> Ladder:
    """The ladder of the poll with these ticks of the strike 100."""
    by_leg = {(100.0, kind): each for kind, each in ticks.items()}
    return ChainFeed(by_leg, AT, NOW).onto(ladder or polled())


@pytest.mark.parametrize(
    ("received", "ltp", "age"),
    [
        pytest.param(-1, 7.5, None, id="before the poll"),
        pytest.param(0, 7.5, None, id="with the poll"),
        pytest.param(1, 8.0, 29, id="after the poll"),
        pytest.param(31, 8.0, 0, id="by a clock that is ahead"),
    ],
)
def test_a_leg_is_of_the_feed_where_that_is_newer(
    received: float, ltp: float, age: float | None
) -> None:
    [row] = seen({CALL: tick(received)}).rows

    assert row.call is not None
    assert row.put is not None
    assert (row.call.values["ltp"], row.call.age) == (ltp, age)
    assert (row.put.values["ltp"], row.put.age) == (2.5, None)


def test_what_the_feed_sent_takes_the_place_of_the_poll_and_all_else_stays() -> None:
    before, sent = polled(), {"oi": 150.0, "iv": 0.145, "delta": 0.5, "bid": 7.9, "ask": 8.1}

    [now], [was] = seen({CALL: tick(5, **sent)}).rows, before.rows

    assert now.call is not None
    assert was.call is not None
    assert now.call.ticked == {"ltp", *sent}
    assert {name: now.call.values[name] for name in sent} == sent
    rest = COLUMNS.keys() - now.call.ticked
    assert {"oi_change", "price_change", "iv_change"} <= rest
    assert {name: now.call.values[name] for name in rest} == {
        name: was.call.values[name] for name in rest
    }
    assert (now.marks, now.put) == (was.marks, was.put)


@pytest.mark.parametrize(
    ("sent", "book"),
    [
        pytest.param({"bid": 4.0, "ask": 5.5}, (4.0, 5.5), id="both sides"),
        pytest.param({"ask": 5.5}, (None, 5.5), id="no bid"),
        pytest.param({}, (10.0, 11.0), id="no book"),
    ],
)
def test_the_sides_of_a_book_are_of_one_source(
    sent: dict[str, float], book: tuple[float | None, float | None]
) -> None:
    ladder = ladder_of(shown(chain_of([leg(100, CALL, ltp=7.5, bid=10.0, ask=11.0)])))

    [row] = seen({CALL: tick(5, **sent)}, ladder).rows

    assert row.call is not None
    assert (row.call.values["bid"], row.call.values["ask"]) == book
    assert ("bid" in row.call.unknown) is (book[0] is None)


def test_the_columns_of_ticks_are_columns_without_the_changes() -> None:
    assert COLUMNS.keys() - TICKED == {"oi_change", "price_change", "iv_change"}


@pytest.mark.parametrize(
    ("lot", "oi", "volume"),
    [pytest.param(65, 650, 1_300, id="shares"), pytest.param(None, 130, None, id="contracts")],
)
def test_shares_of_the_feed_are_not_among_contracts(
    lot: int | None, oi: float, volume: float | None
) -> None:
    chain = chain_of([leg(100, CALL, oi=130.0)], **IN_LOTS)
    ladder = ladder_of(shown(chain, lot))

    [row] = seen({CALL: tick(5, oi=650.0, volume=1_300.0)}, ladder).rows

    assert row.call is not None
    assert (row.call.values["oi"], row.call.values["volume"]) == (oi, volume)
    assert ("oi" in row.call.ticked) is (lot is not None)


@pytest.mark.parametrize(
    ("received", "away"),
    [
        pytest.param([], True, id="no tick of the chain"),
        pytest.param([29], False, id="a tick of a second ago"),
        pytest.param([-3_600, -60], False, id="none since the poll, but shortly before"),
        pytest.param([30 - AWAY / SECOND], False, id="just recent"),
        pytest.param([29.9 - AWAY / SECOND], True, id="too old"),
    ],
)
def test_a_feed_without_a_recent_tick_of_the_chain_is_away(
    received: list[float], away: bool
) -> None:
    ticks = {(100.0 + number, CALL): tick(at) for number, at in enumerate(received)}

    assert ChainFeed(ticks, AT, NOW).is_away is away


class TestOnThePage:
    def test_each_option_says_how_old_it_is_and_cells_of_the_feed_are_marked(self) -> None:
        html = ladder_html(seen({CALL: tick(27, oi=150.0)}), ("oi", "oi_change", "ltp"))

        head, body = html.split("<tbody>")
        assert re.findall(r">(\w+)(?=<)", head[head.index("<tr><th scope") :] + "<") == [
            "OI", "ΔOI", "LTP", "Feed", "Strike", "Feed", "LTP", "ΔOI", "OI",
        ]  # fmt: skip
        assert (
            "<td class=l style=--b:100%>150<td class=u style=--b:100%>+30<td class=l>8.00" in body
        )
        assert "<td class=f>3 s<th scope=row>100" in body
        assert "<td class=f>poll<td>2.50" in body

    def test_without_a_feed_the_ladder_has_no_such_column(self) -> None:
        html = ladder_html(polled(), ("oi", "ltp"))

        assert "Feed" not in html
        assert "class=l>" not in html

    def test_an_unlisted_option_has_no_age(self) -> None:
        ladder = ladder_of(shown(chain_of([leg(100, CALL, ltp=7.5)])))

        assert "<td><td title=" in ladder_html(seen({CALL: tick(27)}, ladder), ("ltp",))

    def test_the_line_above_says_what_is_of_the_poll(self) -> None:
        feed = ChainFeed({(100.0, CALL): tick(5), (100.0, PUT): tick(-5)}, AT, NOW)

        words = feed.words(feed.onto(polled()))

        assert words.startswith("Cells in colour: live feed of upstox, 1 of 2 options")
        assert words.endswith("(PCR, max pain): poll of 11:00:00.")
