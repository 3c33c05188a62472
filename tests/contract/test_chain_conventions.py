"""The providers' own numbers, reproduced from prices alone; call and put agree."""

import csv
import gzip
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path
from statistics import median

import pytest

from data_fetch.analytics.chain_pricing import price_chains
from data_fetch.analytics.conventions import CONVENTIONS
from data_fetch.core.chains.chains import Chain, ChainLeg, OptionType
from data_fetch.core.chains.valuation import LegValuation, PricedChain
from data_fetch.core.clock import IST
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.sources.captured_chains import documents_in, read_document

CALENDAR = MarketCalendar.reviewed()
V3 = "nse_option_chain_v3/NIFTY_2026-06-19_exp2026-06-23_capture2.json.gz"
UNIVERSE = "nse_option_chain_old/universe_2025-07-17.tar.gz"
FRIDAY_PRICES = "upstox/responses/v2_option_chain_NIFTY_exp2024-06-27_captured2024-06-24.json.gz"
# The prices are those of the close of Friday 21 June 2024.
FRIDAY_CLOSE = datetime(2024, 6, 21, 15, 30, tzinfo=IST)

Pair = tuple[ChainLeg, LegValuation]


def chains_in(path: Path) -> Iterator[Sequence[Chain]]:
    for document in documents_in(path):
        yield read_document(document).chains


def priced(
    chains: Sequence[Chain], convention: str, at: datetime | None = None
) -> list[PricedChain]:
    return price_chains(chains, at or chains[0].exchange_time, CONVENTIONS[convention], CALENDAR)


def pairs(found: PricedChain) -> list[Pair]:
    return list(zip(found.chain.legs, found.numbers, strict=True))


def test_nse_of_2026_every_liquid_leg_within_two_hundredths_of_a_point(shared_data: Path) -> None:
    [chains] = chains_in(shared_data / V3)
    [found] = priced(chains, "nse")
    with (shared_data / "reference_values/nse_published_iv_NIFTY_2026-06-19.csv").open() as file:
        published = {
            (float(row["strike"]), row["type"]): float(row["nse_iv_percent"])
            for row in csv.DictReader(file)
        }
    ours = {(float(leg.strike), leg.option_type.value): n.iv for leg, n in pairs(found)}

    wrong = {
        key: (ours[key], given)
        for key, given in published.items()
        if abs((ours[key] or 0) * 100 - given) > 0.02
    }
    assert len(published) == 135
    assert wrong == {}


def test_nse_of_2025_a_whole_market(shared_data: Path) -> None:
    """Most legs to the last digit; the others were traded last at another spot than the close's.

    104 legs expired that afternoon and have no volatility of ours.
    """
    far = []
    for chains in chains_in(shared_data / UNIVERSE):
        for found in priced(chains, "nse"):
            far += [
                abs(n.iv - leg.provider_iv) * 100
                for leg, n in pairs(found)
                if leg.provider_iv and n.iv and (leg.volume or 0) >= 1000
            ]

    assert len(far) == 1698
    assert sum(each <= 0.02 for each in far) >= 1476
    assert median(far) < 0.004


def test_upstox(shared_data: Path) -> None:
    """On the out-of-the-money side, which Upstox works its figures out from as well; within what
    a chain without a capture time allows."""
    [chains] = chains_in(shared_data / FRIDAY_PRICES)
    [found] = priced(chains, "upstox", FRIDAY_CLOSE)
    forward = found.forward.value or 0
    near = [
        (leg, n)
        for leg, n in pairs(found)
        if leg.provider_iv
        and n.iv
        and abs(float(leg.strike) / forward - 1) < 0.02
        and (leg.option_type is OptionType.CALL) is (float(leg.strike) > forward)
    ]

    assert len(near) > 15
    assert median(abs(n.iv - leg.provider_iv) for leg, n in near) * 100 < 0.1  # type: ignore[operator]
    assert max(abs(n.delta - leg.provider_delta) for leg, n in near) < 0.01  # type: ignore[operator]
    assert median(abs(n.delta - leg.provider_delta) for leg, n in near) < 0.003  # type: ignore[operator]
    assert max(abs(n.vega - leg.provider_vega) for leg, n in near) < 0.1  # type: ignore[operator]
    assert max(abs(n.theta / leg.provider_theta - 1) for leg, n in near) < 0.03  # type: ignore[operator]


def disagreements(found: PricedChain, strikes: int) -> list[float]:
    """Between call and put, in points, at the strikes nearest to the forward, where both are
    traded."""
    forward = found.forward.value
    if forward is None:
        return []
    by_strike = [list(two) for _, two in groupby(pairs(found), key=lambda pair: pair[0].strike)]
    both = [
        (call, put)
        for two in by_strike
        if len(two) == 2
        for (call, put) in [two]
        if min(call[0].volume or 0, put[0].volume or 0) >= 1000
    ]
    nearest = sorted(both, key=lambda two: abs(float(two[0][0].strike) - forward))[:strikes]
    return [
        abs(call[1].iv - put[1].iv) * 100
        for call, put in nearest
        if call[1].iv is not None and put[1].iv is not None
    ]


@pytest.mark.parametrize(
    ("file", "at", "expiries"),
    [
        pytest.param(V3, None, 1, id="NIFTY of 2026, by NSE"),
        pytest.param(FRIDAY_PRICES, FRIDAY_CLOSE, 1, id="NIFTY of 2024, by Upstox"),
        pytest.param("nse_option_chain_old/NIFTY_2025-07-17.json.gz", None, 2, id="NIFTY of 2025"),
        pytest.param("nse_option_chain_old/BANKNIFTY_2025-07-17.json.gz", None, 1, id="BANKNIFTY"),
        pytest.param("nse_option_chain_old/TCS_2025-07-17.json.gz", None, 1, id="TCS"),
    ],
)
def test_call_and_put_agree_near_the_money(
    shared_data: Path, file: str, at: datetime | None, expiries: int
) -> None:
    [chains] = chains_in(shared_data / file)
    alive = [one for one in priced(chains, "own", at) if (one.years or 0) > 0][:expiries]

    for found in alive:
        apart = disagreements(found, strikes=4)
        assert len(apart) == 4
        assert max(apart) <= 0.3


def test_call_and_put_agree_near_the_money_across_a_market(shared_data: Path) -> None:
    """Of all that is traded a thousand times on both sides; what is left are books as wide."""
    apart: list[float] = []
    for chains in chains_in(shared_data / UNIVERSE):
        for found in priced(chains, "own"):
            apart += disagreements(found, strikes=4)

    assert len(apart) > 200
    assert median(apart) < 0.12
    assert sum(each <= 0.3 for each in apart) > 0.8 * len(apart)
    assert sum(each <= 1.0 for each in apart) > 0.97 * len(apart)


def test_blanking_the_providers_figures_changes_nothing(shared_data: Path, tmp_path: Path) -> None:
    whole = shared_data / V3
    body = json.loads(gzip.decompress(whole.read_bytes()))
    for row in (*body["records"]["data"], *body["filtered"]["data"]):
        for side in ("CE", "PE"):
            if side in row:
                row[side]["impliedVolatility"] = 0
    blanked = tmp_path / "blanked.json"
    blanked.write_text(json.dumps(body))

    [ours], [theirs] = chains_in(whole), chains_in(blanked)

    for convention in CONVENTIONS:
        assert [one.numbers for one in priced(ours, convention)] == [
            one.numbers for one in priced(theirs, convention)
        ]
