"""Every captured option chain is read whole, with nothing to remark on."""

import csv
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from captured_chains import NSE_LEGACY, NSE_V3, UPSTOX, body, universe

from data_fetch.core.chains.chains import (
    Chain,
    ChainError,
    ChainLeg,
    ChainSource,
    OptionType,
    ParsedChains,
    QuantityUnit,
    content_hash,
)
from data_fetch.core.failures import FailureKind
from data_fetch.sources.captured_chains import documents_in, read_document
from data_fetch.sources.nse.chain_rows import read_nse_chains
from data_fetch.sources.upstox.chain_rows import read_upstox_chain

EVENING = datetime(2025, 7, 17, 10, 0, tzinfo=UTC)
FIRST_EXPIRY_DAY = "upstox/responses/v2_option_chain_NIFTY_exp2024-06-20_expiryday.json.gz"
CAPTURES = [
    # file, symbol, expiries, legs
    ("nse_option_chain_old/NIFTY_2025-07-17.json.gz", "NIFTY", 18, 1395),
    ("nse_option_chain_old/BANKNIFTY_2025-07-17.json.gz", "BANKNIFTY", 6, 842),
    (NSE_LEGACY, "RELIANCE", 3, 194),
    ("nse_option_chain_old/TCS_2025-07-17.json.gz", "TCS", 3, 220),
    ("nse_option_chain_old/M_AND_M_2025-07-17.json.gz", "M&M", 3, 85),
    ("nse_option_chain_old/IDEA_2025-07-17.json.gz", "IDEA", 3, 52),
    ("nse_option_chain_old/NIFTY_2020-05-14.json.gz", "NIFTY", 5, 1026),
    ("nse_option_chain_old/BANKNIFTY_2020-05-14.json.gz", "BANKNIFTY", 5, 1194),
    (NSE_V3, "NIFTY", 1, 206),
    (NSE_V3.replace("capture1", "capture2"), "NIFTY", 1, 206),
    (FIRST_EXPIRY_DAY, "NIFTY", 1, 208),
    (UPSTOX, "NIFTY", 1, 224),
]


def read_file(path: Path) -> ParsedChains:
    (document,) = documents_in(path)
    return read_document(document)


def legs_of(given: ParsedChains) -> list[ChainLeg]:
    return [leg for chain in given.chains for leg in chain.legs]


def total(chain: Chain, side: OptionType, count: str) -> int:
    """Whole contracts: the legs of an old lot have fractions, their sum has not."""
    return round(sum(getattr(leg, count) for leg in chain.legs if leg.option_type is side))


@pytest.mark.parametrize(
    ("file", "symbol", "expiries", "legs"),
    [pytest.param(*capture, id=Path(capture[0]).name) for capture in CAPTURES],
)
def test_a_capture_is_read_whole(
    shared_data: Path, file: str, symbol: str, expiries: int, legs: int
) -> None:
    given = read_file(shared_data / file)

    assert (given.rejected, given.remarks) == ((), ())
    assert {chain.underlying for chain in given.chains} == {symbol}
    assert (len(given.chains), len(legs_of(given))) == (expiries, legs)
    assert [chain.expiry for chain in given.chains] == sorted({c.expiry for c in given.chains})
    for chain in given.chains:
        keys = [leg.key for leg in chain.legs]
        assert keys == sorted(set(keys)), "each strike once, lowest first, the call first"


def test_the_universe_of_an_evening(shared_data: Path) -> None:
    given = [read_nse_chains(document) for _, document in universe(shared_data)]

    assert len(given) == 229
    assert sum(len(legs_of(one)) for one in given) == 27812
    assert [one.remarks for one in given if one.remarks] == []
    assert [one.rejected for one in given if one.rejected] == []
    stamps = {chain.exchange_time for one in given for chain in one.chains}
    assert stamps == {EVENING}
    assert all(chain.spot and chain.unit is QuantityUnit.CONTRACTS for chain in given[0].chains)


def test_nse_own_totals_come_out_of_the_legs(shared_data: Path) -> None:
    """Its call and put totals of open interest and volume, of the nearest expiry."""
    file = shared_data / "reference_values" / "nse_published_totals_2025-07-17.csv"
    published = {row["symbol"]: row for row in csv.DictReader(file.open(encoding="utf-8"))}
    read = {}
    for _, document in universe(shared_data):
        nearest = read_nse_chains(document).chains[0]
        read[nearest.underlying] = nearest

    assert read.keys() == published.keys()
    assert len(published) == 229
    for symbol, row in published.items():
        chain = read[symbol]
        assert f"{chain.expiry.day:02}" == row["nearest_expiry"][:2]
        assert chain.spot == float(row["underlying_value"])
        for side in OptionType:
            assert total(chain, side, "oi") == int(row[f"filtered_{side}_totOI"]), symbol
            assert total(chain, side, "volume") == int(row[f"filtered_{side}_totVol"]), symbol


def test_a_leg_of_the_legacy_shape(shared_data: Path) -> None:
    given = read_file(shared_data / NSE_LEGACY)
    nearest = given.chains[0]

    assert (nearest.source, nearest.expiry) == (ChainSource.NSE, date(2025, 7, 31))
    document = orjson.loads(body(shared_data, NSE_LEGACY))
    raw = {
        (row["strikePrice"], side): row[side]
        for row in document["records"]["data"]
        for side in OptionType
        if row["expiryDate"] == "31-Jul-2025" and side in row
    }
    for leg in nearest.legs:
        theirs = raw[int(leg.strike), leg.option_type]
        assert leg.ltp == (theirs["lastPrice"] or None)
        assert leg.bid == (theirs["bidprice"] or None)
        assert (leg.bid_qty, leg.ask_qty) == (theirs["bidQty"], theirs["askQty"])
        assert leg.total_buy_qty == theirs["totalBuyQuantity"]
        assert leg.total_sell_qty == theirs["totalSellQuantity"]
        assert (leg.oi, leg.volume) == (theirs["openInterest"], theirs["totalTradedVolume"])
        before = theirs["openInterest"] - theirs["changeinOpenInterest"]
        assert leg.prev_oi == pytest.approx(before)
        assert leg.provider_iv == pytest.approx(theirs["impliedVolatility"] / 100 or None)
        if leg.ltp is None:
            assert leg.prev_close is None
        else:
            assert leg.prev_close == pytest.approx(theirs["lastPrice"] - theirs["change"])


@pytest.mark.parametrize(
    ("file", "count", "found"),
    [
        pytest.param(0, "fractional open interest", 56, id="NIFTY fractions"),
        pytest.param(1, "fractional open interest", 15, id="BANKNIFTY fractions"),
        pytest.param(0, "no volatility", 596, id="NIFTY volatilities"),
        pytest.param(1, "no volatility", 516, id="BANKNIFTY volatilities"),
        pytest.param(0, "no price", 258, id="NIFTY prices"),
        pytest.param(6, "open interest without a price", 41, id="NIFTY 2020"),
        pytest.param(7, "open interest without a price", 61, id="BANKNIFTY 2020"),
        pytest.param(10, "no volatility", 58, id="Upstox on expiry day"),
        pytest.param(11, "no volatility", 30, id="Upstox a week ahead"),
        pytest.param(10, "no Greeks", 58, id="Upstox degenerate Greeks"),
    ],
)
def test_oddities_are_kept_and_placeholders_are_not(
    shared_data: Path, file: int, count: str, found: int
) -> None:
    tests = {
        "fractional open interest": lambda leg: not leg.oi.is_integer(),
        "no volatility": lambda leg: leg.provider_iv is None,
        "no price": lambda leg: leg.ltp is None,
        "open interest without a price": lambda leg: leg.oi and leg.ltp is None,
        "no Greeks": lambda leg: leg.provider_delta is leg.provider_vega is None,
    }
    legs = legs_of(read_file(shared_data / CAPTURES[file][0]))
    assert sum(bool(tests[count](leg)) for leg in legs) == found


def test_two_captures_under_one_stamp_differ(shared_data: Path) -> None:
    """NSE goes on correcting numbers after the close without moving its stamp."""
    first, second = (read_file(shared_data / CAPTURES[n][0]).chains[0] for n in (8, 9))

    assert first.exchange_time == second.exchange_time == datetime(2026, 6, 19, 10, 0, tzinfo=UTC)
    pairs = list(zip(first.legs, second.legs, strict=True))
    assert sum(one.oi != other.oi for one, other in pairs) == 132
    assert sum(one.ltp != other.ltp for one, other in pairs) == 20
    assert content_hash(first) != content_hash(second)


def test_a_row_of_upstox(shared_data: Path) -> None:
    chain = read_upstox_chain(orjson.loads(body(shared_data, UPSTOX))["data"]).chains[0]

    assert (chain.unit, chain.spot, chain.exchange_time) == (QuantityUnit.SHARES, 23501.1, None)
    leg = next(leg for leg in chain.legs if leg.key == (Decimal(21850), OptionType.PUT))
    assert leg == ChainLeg(
        strike=Decimal(21850),
        option_type=OptionType.PUT,
        live_key="NSE_FO|64260",
        ltp=1.55,
        prev_close=2.55,
        bid=1.55,
        bid_qty=800,
        ask=2.0,
        ask_qty=2550,
        volume=741800.0,
        oi=65825.0,
        prev_oi=47550.0,
        provider_iv=0.2271,
        provider_delta=-0.0069,
        provider_gamma=0.0,
        provider_theta=-1.1015,
        provider_vega=0.5821,
    )


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        pytest.param(
            "upstox/responses/v2_historical_candle_1minute_2024-06-10.json",
            FailureKind.NOT_A_CHAIN,
            id="candles",
        ),
        pytest.param(
            "nse_option_chain_v3/NIFTY_2026-06-19_capture1.meta.json",
            FailureKind.NOT_A_CHAIN,
            id="meta",
        ),
        pytest.param(
            "nse_api_misc/old_endpoint_404_body_2026-07.html",
            FailureKind.HTML,
            id="the dead endpoint",
        ),
        pytest.param("nse_api_misc/status.json", FailureKind.NOT_A_CHAIN, id="market status"),
        pytest.param(
            "nse_api_misc/allIndices_2026-08-21.json.gz", FailureKind.NOT_A_CHAIN, id="index levels"
        ),
        pytest.param(
            "nse_api_misc/securities_in_fno_2025-11-17.json.gz",
            FailureKind.NOT_A_CHAIN,
            id="stocks",
        ),
        pytest.param(
            "upstox/derived_chain_series_2026-08-20_21.tar.gz",
            FailureKind.NOT_A_CHAIN,
            id="reshaped by its publisher",
        ),
    ],
)
def test_what_is_no_chain_is_refused_by_name(
    shared_data: Path, file: str, kind: FailureKind
) -> None:
    for document in documents_in(shared_data / file):
        with pytest.raises(ChainError) as refused:
            read_document(document)
        assert refused.value.kind is kind


def test_a_sweep_takes_a_fraction_of_its_minute(shared_data: Path) -> None:
    """A minute's sweep of all chains must not cost a minute of work."""
    documents: list[Any] = [document for _, document in universe(shared_data)]

    def seconds() -> float:
        began = time.process_time()
        for document in documents:
            read_nse_chains(document)
        return time.process_time() - began

    # Of a processor: measured a third of a second.
    assert seconds() < 20
