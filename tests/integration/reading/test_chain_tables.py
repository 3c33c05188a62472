"""Option chains as tables: one snapshot, the figures over time, one contract over time."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from candle_shelf import environment_for
from chain_shelf import UNPRICED, keep, received

from data_fetch.core.chains.chains import Chain, ChainLeg, ChainSource, OptionType, QuantityUnit
from data_fetch.core.chains.valuation import LegValuation, Metric
from data_fetch.core.clock import IST
from data_fetch.core.errors import SetupError
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.reading import chain, chain_history, leg_history
from data_fetch.storage.chains.snapshots import Received
from data_fetch.storage.database.store import Store, open_store

pytestmark = pytest.mark.layouts

TUESDAY = date(2025, 6, 10)
EXPIRY, NEXT_EXPIRY = date(2025, 6, 12), date(2025, 6, 19)
CALL, PUT = OptionType.CALL, OptionType.PUT
PRICED = LegValuation(100.0, 0.12, 0.5, 0.001, -3.0, 10.0, 1.0, None)


def ist(hour: int, minute: int = 0, second: int = 0) -> datetime:
    return datetime(2025, 6, 10, hour, minute, second, tzinfo=IST).astimezone(UTC)


def leg(ltp: float, strike: int = 24000, side: OptionType = CALL, oi: float = 75.0) -> ChainLeg:
    return ChainLeg(strike=Decimal(strike), option_type=side, ltp=ltp, oi=oi)


def at(
    time: datetime,
    *legs: ChainLeg,
    pcr: float = 0.8,
    expiry: date = EXPIRY,
    source: ChainSource = ChainSource.UPSTOX,
    rejected: int = 0,
) -> Received:
    """A chain received at *time*; the first leg is priced, the others are not."""
    given = legs or (leg(100.0),)
    of = Chain(
        underlying="NIFTY",
        expiry=expiry,
        source=source,
        unit=QuantityUnit.SHARES,
        spot=24000.0 + given[0].ltp if given[0].ltp else None,
        exchange_time=None,
        legs=given,
    )
    found = received(of, time, rejected=rejected)
    numbers = (PRICED, *(UNPRICED,) * (len(given) - 1))
    metrics = {
        "pcr_oi": Metric(value=pcr, used=1, of=2),
        "max_pain": Metric(value=24100.0, used=1, of=2),
    }
    priced = replace(found.summary.priced, numbers=numbers)
    return replace(found, summary=replace(found.summary, priced=priced, metrics=metrics))


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = open_store(database_url, World.LIVE)
    yield store
    store.close()


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings.load(environment_for(database_url), tmp_path)


class TestChain:
    """One snapshot: its legs, figures, completeness and freshness."""

    def test_the_newest_snapshot_has_a_row_for_each_leg(
        self, store: Store, settings: Settings
    ) -> None:
        keep(store, at(ist(10), leg(90.0)), at(ist(11), leg(100.0), leg(5.0, side=PUT)))

        found = chain("nifty", settings=settings)

        rows = found.table.to_pylist()
        assert [(row["strike"], row["option_type"], row["ltp"]) for row in rows] == [
            (24000.0, "CE", 100.0),
            (24000.0, "PE", 5.0),
        ]
        assert (rows[0]["iv"], rows[0]["reason"]) == (0.12, None)
        assert (rows[1]["iv"], rows[1]["reason"]) == (None, "no_price")
        assert (found.underlying, found.expiry, found.spot) == ("NIFTY", EXPIRY, 24100.0)
        assert (found.metrics["pcr_oi"], found.metrics["max_pain"]) == (0.8, 24100.0)

    def test_completeness_counts_legs_by_reason(self, store: Store, settings: Settings) -> None:
        keep(store, at(ist(10), leg(90.0), leg(5.0, side=PUT), rejected=1))

        found = chain("NIFTY", settings=settings)

        document = {
            "complete": False,
            "legs": 2,
            "priced": 1,
            "rejected": 1,
            "reasons": {"no_price": 1},
        }
        assert found.completeness.document() == document
        assert orjson.loads(found.table.schema.metadata[b"completeness"]) == document

    def test_freshness_has_receipts_source_and_age(self, store: Store, settings: Settings) -> None:
        keep(store, at(ist(10)), at(ist(10, 1)), at(ist(10, 2)))

        found = chain("NIFTY", at=ist(10, 5), settings=settings).freshness

        assert (found.received_at, found.newest) == (ist(10), ist(10, 2))
        assert (found.confirmations, found.source, found.age_seconds) == (3, "upstox", 180.0)

    def test_an_instant_gives_the_snapshot_of_that_instant(
        self, store: Store, settings: Settings
    ) -> None:
        keep(store, at(ist(10), leg(90.0)), at(ist(11), leg(100.0)))

        found = chain("NIFTY", EXPIRY, "2025-06-10T10:30:00+05:30", settings=settings)

        assert found.table["ltp"].to_pylist() == [90.0]

    @pytest.mark.parametrize("form", ["pandas", "polars"])
    def test_the_other_forms_hold_the_same(
        self, store: Store, settings: Settings, form: str
    ) -> None:
        keep(store, at(ist(10)))

        found = chain("NIFTY", form=form, settings=settings).table

        assert list(found["ltp"]) == [100.0]
        assert "provider_iv" in found.columns

    @pytest.mark.parametrize(
        ("how", "message", "hint"),
        [
            pytest.param({"underlying": "TCS"}, "no chain of TCS", "chain collect", id="unknown"),
            pytest.param(
                {"expiry": NEXT_EXPIRY}, "no such chain", "2025-06-12", id="another expiry"
            ),
            pytest.param({"at": ist(9)}, "as of 2025-06-10T09:00", "Collect one", id="too early"),
            pytest.param({"source": "bse"}, "source 'bse'", "upstox, nse", id="unknown source"),
            pytest.param({"at": "2025-06-10T09:00"}, "has no time zone", "+05:30", id="no offset"),
        ],
    )
    def test_what_is_not_stored_is_rejected_with_a_hint(
        self, store: Store, settings: Settings, how: dict[str, Any], message: str, hint: str
    ) -> None:
        keep(store, at(ist(10)))

        with pytest.raises(SetupError, match=message) as rejected:
            chain(settings=settings, **{"underlying": "NIFTY", **how})

        assert hint in rejected.value.hint


def history(settings: Settings, **how: Any) -> Any:
    given = {"underlying": "NIFTY", "expiry": EXPIRY, "first": TUESDAY, "last": TUESDAY, **how}
    return chain_history(settings=settings, **given)


def contract(settings: Settings, **how: Any) -> Any:
    given = {
        "underlying": "NIFTY",
        "expiry": EXPIRY,
        "strike": 24000,
        "option_type": "CE",
        "first": TUESDAY,
        "last": TUESDAY,
        **how,
    }
    return leg_history(settings=settings, **given)


class TestHistory:
    """Figures over time; a contract over time follows the same rules."""

    def test_a_row_is_a_snapshot_with_its_figures(self, store: Store, settings: Settings) -> None:
        keep(store, at(ist(10)), at(ist(10, 1)), at(ist(10, 2), leg(90.0), pcr=0.9))

        found = history(settings)

        assert found.table["at"].to_pylist() == [ist(10), ist(10, 2)]
        assert found.table["pcr_oi"].to_pylist() == [0.8, 0.9]
        assert found.table["max_pain"].to_pylist() == [24100.0, 24100.0]
        assert found.table["confirmations"].to_pylist() == [2, 1]

    def test_a_step_has_the_last_snapshot_at_or_before_it(
        self, store: Store, settings: Settings
    ) -> None:
        keep(store, at(ist(10, 0, 30), pcr=1.0), at(ist(10, 20), leg(90.0), pcr=2.0))
        keep(store, at(ist(10, 30), leg(80.0), pcr=3.0))

        found = history(settings, last="2025-06-10T11:00:00+05:30", every="15m").table

        assert found["at"].to_pylist() == [ist(10, 15), ist(10, 30), ist(10, 45), ist(11)]
        assert found["pcr_oi"].to_pylist() == [1.0, 3.0, 3.0, 3.0]
        assert found["unconfirmed_seconds"].to_pylist() == [870.0, 0.0, 900.0, 1800.0]

    def test_steps_lie_within_trading_hours(self, store: Store, settings: Settings) -> None:
        keep(store, at(ist(9, 15)))

        steps = history(settings, every=timedelta(hours=1)).table["at"].to_pylist()

        assert (steps[0], steps[-1], len(steps)) == (ist(10), ist(15), 6)

    def test_completeness_counts_trading_minutes_with_a_receipt(
        self, store: Store, settings: Settings
    ) -> None:
        keep(store, at(ist(10)), at(ist(10, 0, 30)), at(ist(10, 1)), at(ist(10, 4), leg(90.0)))

        found = history(settings, first=ist(10), last=ist(10, 5))

        [expiry] = found.completeness.document()["expiries"]
        assert expiry == {
            "expiry": "2025-06-12",
            "source": "upstox",
            "receipts": 4,
            "minutes_due": 5,
            "minutes_received": 3,
        }
        assert (found.completeness.snapshots, found.completeness.complete) == (2, False)
        assert (found.freshness.newest, found.freshness.sources) == (ist(10, 4), ("upstox",))

    def test_without_an_expiry_all_of_them_are_listed(
        self, store: Store, settings: Settings
    ) -> None:
        keep(store, at(ist(10)), at(ist(10), expiry=NEXT_EXPIRY), at(ist(11), leg(90.0)))

        found = history(settings, expiry=None)

        assert found.table["expiry"].to_pylist() == [EXPIRY, NEXT_EXPIRY, EXPIRY]
        assert [each.receipts for each in found.completeness.expiries] == [2, 1]

    def test_a_source_is_chosen_or_named(self, store: Store, settings: Settings) -> None:
        keep(store, at(ist(10)), at(ist(11)), at(ist(12), leg(1.0), source=ChainSource.NSE))

        assert history(settings).freshness.sources == ("upstox",)
        assert history(settings, source="nse").table["spot"].to_pylist() == [24001.0]

    @pytest.mark.parametrize("form", ["arrow", "pandas", "polars"])
    @pytest.mark.parametrize("read", [history, contract])
    def test_a_range_without_a_receipt_has_no_row(
        self, store: Store, settings: Settings, read: Any, form: str
    ) -> None:
        keep(store, at(ist(10)))

        found = read(settings, first="2025-06-11", last="2025-06-11", form=form, every="1h")

        assert len(found.table) == 0
        assert found.freshness.newest is None
        assert found.completeness.expiries[0].minutes_due == 375

    @pytest.mark.parametrize("form", ["arrow", "pandas", "polars"])
    @pytest.mark.parametrize("read", [history, contract])
    def test_each_form_has_the_rows(
        self, store: Store, settings: Settings, read: Any, form: str
    ) -> None:
        keep(store, at(ist(10)), at(ist(11), leg(90.0)))

        assert len(read(settings, form=form).table) == 2

    @pytest.mark.parametrize("read", [history, contract])
    @pytest.mark.parametrize(
        ("how", "message", "hint"),
        [
            pytest.param({"underlying": "TCS"}, "no instrument named TCS", "collect", id="unknown"),
            pytest.param({"expiry": NEXT_EXPIRY}, "2025-06-19", "2025-06-12", id="other expiry"),
            pytest.param({"every": "15"}, "step '15'", '"15m"', id="a step without a unit"),
            pytest.param({"every": timedelta(days=2)}, "step", "1h", id="a step of two days"),
            pytest.param({"source": "bse"}, "source 'bse'", "upstox, nse", id="unknown source"),
            pytest.param({"last": "2025-06-09"}, "later than", "earlier", id="wrong order"),
        ],
    )
    def test_invalid_arguments_are_rejected_with_a_hint(
        self,
        store: Store,
        settings: Settings,
        read: Any,
        how: dict[str, Any],
        message: str,
        hint: str,
    ) -> None:
        keep(store, at(ist(10)))

        with pytest.raises(SetupError, match=message) as rejected:
            read(settings, **how)

        assert hint in rejected.value.hint


class TestContract:
    """One contract over time."""

    def test_a_row_has_the_contract_at_each_snapshot(
        self, store: Store, settings: Settings
    ) -> None:
        keep(store, at(ist(10), leg(100.0, oi=75.0), leg(5.0, side=PUT)))
        keep(store, at(ist(11), leg(110.0, oi=150.0), leg(4.0, side=PUT)))

        found = contract(settings, strike="24000.00", option_type="ce")

        rows = found.table.to_pylist()
        assert [(row["at"], row["ltp"], row["oi"], row["iv"]) for row in rows] == [
            (ist(10), 100.0, 75, 0.12),
            (ist(11), 110.0, 150, 0.12),
        ]
        puts = contract(settings, option_type="PE").table.to_pylist()
        assert [(row["ltp"], row["reason"]) for row in puts] == [
            (5.0, "no_price"),
            (4.0, "no_price"),
        ]

    @pytest.mark.parametrize(
        ("how", "message", "hint"),
        [
            pytest.param(
                {"strike": 24050}, "at strike 24050", "Near: 24000, 24100.", id="no such strike"
            ),
            pytest.param(
                {"strike": "many"}, "'many' is not a number of rupees", "24000", id="no number"
            ),
            pytest.param({"option_type": "XX"}, "option type 'XX'", "CE, PE", id="no such type"),
        ],
    )
    def test_an_unknown_contract_is_rejected_with_the_nearest_strikes(
        self, store: Store, settings: Settings, how: dict[str, Any], message: str, hint: str
    ) -> None:
        keep(store, at(ist(10), leg(100.0), leg(50.0, strike=24100)))

        with pytest.raises(SetupError, match=message) as rejected:
            contract(settings, **how)

        assert hint in rejected.value.hint
