"""Chains of an underlying that was renamed, and of an expiry that was moved: one history."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from candle_shelf import environment_for, renamed, stock
from chain_shelf import STRIKE, keep, received
from chain_shelf import chain as a_chain

from data_fetch.core.chains.chains import ChainLeg, ChainSource, OptionType
from data_fetch.core.chains.symbol_config import SymbolConfig
from data_fetch.core.clock import IST
from data_fetch.core.errors import SetupError
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.reading import chain, chain_history, leg_history
from data_fetch.reading.chain_metrics import chain_metrics
from data_fetch.reading.chain_snapshots import stored_chain
from data_fetch.reading.chain_status import chain_status
from data_fetch.reading.chain_surfaces import stored_surface
from data_fetch.services.chain_enrichment import ChainEnricher, ParsedResponse
from data_fetch.storage.chains.symbol_config import SymbolConfigs
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.instruments.instruments import save_master

MONDAY, TUESDAY, WEDNESDAY, THURSDAY = (date(2025, 6, day) for day in (9, 10, 11, 12))
EXPIRY, NEXT_EXPIRY = date(2025, 6, 24), date(2025, 6, 26)
TATA = stock("TATAMOTORS", "INE155A01022")
TMPV = renamed(TATA, "TMPV")
TAKER = stock("TATAMOTORS", "INE0TM101010")
SPLIT = replace(stock("TMPV", "INE155A01030"), symbol="TMPV")
FORMER, PRESENT = "TATAMOTORS", "TMPV"


def ist(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=IST).astimezone(UTC)


def at(
    time: datetime, spot: float, underlying: str = FORMER, expiry: date = EXPIRY, **facts: Any
) -> Any:
    """A chain with one call, received at *time*; its price is the spot."""
    call = ChainLeg(strike=STRIKE, option_type=OptionType.CALL, ltp=spot, oi=10 * spot)
    of = a_chain(spot, call, underlying=underlying, expiry=expiry, **facts)
    return received(of, time)


def listed(store: Store, day: date, *instruments: Instrument) -> None:
    save_master(store, iter(instruments), day, ist(day, 8))


def contracts(expiry: date, count: int = 3, first: int = 100) -> list[Instrument]:
    """Options on TMPV, each known by its token, as a master with this expiry has them."""
    return [
        Instrument(
            instrument_key=f"NSE_FO|{number}|{expiry:%d-%m-%Y}",
            live_key=f"NSE_FO|{number}",
            symbol=f"TMPV {number} CE {expiry}",
            segment="NSE_FO",
            instrument_type="CE",
            underlying_key=TMPV.instrument_key,
            underlying_symbol=PRESENT,
            expiry=expiry,
            strike=Decimal(number),
        )
        for number in range(first, first + count)
    ]


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = open_store(database_url, World.LIVE)
    yield store
    store.close()


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings.load(environment_for(database_url), tmp_path)


@pytest.fixture
def in_two_names(store: Store) -> Store:
    """TATAMOTORS until Tuesday, and TMPV from then on; on that day, chains under both."""
    listed(store, MONDAY, TATA)
    keep(store, at(ist(MONDAY, 10), 1.0), at(ist(MONDAY, 15), 2.0), at(ist(TUESDAY, 10), 3.0))
    listed(store, TUESDAY, TMPV)
    keep(store, at(ist(TUESDAY, 11), 4.0, PRESENT), at(ist(WEDNESDAY, 10), 5.0, PRESENT))
    return store


class TestRename:
    """A rename in the middle of an expiry."""

    @pytest.mark.parametrize("name", [FORMER, PRESENT, "tmpv", TATA.instrument_key])
    @pytest.mark.parametrize(
        ("instant", "spot"),
        [
            pytest.param(ist(MONDAY, 12), 1.0, id="before"),
            pytest.param(ist(TUESDAY, 10, 30), 3.0, id="that day, under the former name"),
            pytest.param(ist(TUESDAY, 12), 4.0, id="that day, under the new name"),
            pytest.param(None, 5.0, id="now"),
        ],
    )
    def test_a_chain_is_found_by_every_name_at_every_instant(
        self,
        in_two_names: Store,
        settings: Settings,
        name: str,
        instant: datetime | None,
        spot: float,
    ) -> None:
        found = chain(name, at=instant, settings=settings)

        assert (found.underlying, found.expiry, found.spot) == (PRESENT, EXPIRY, spot)
        assert found.table["ltp"].to_pylist() == [spot]

    @pytest.mark.parametrize("name", [FORMER, PRESENT])
    @pytest.mark.parametrize("expiry", [EXPIRY, None])
    def test_its_history_is_in_one_piece(
        self, in_two_names: Store, settings: Settings, name: str, expiry: date | None
    ) -> None:
        found = chain_history(name, expiry, TUESDAY, TUESDAY, settings=settings)
        steps = chain_history(name, expiry, MONDAY, WEDNESDAY, every="1h", settings=settings)

        assert found.table["spot"].to_pylist() == [3.0, 4.0]
        expected = [1.0] * 5 + [2.0, 3.0] + [4.0] * 5 + [5.0] * 6
        assert steps.table["spot"].to_pylist() == expected
        [of] = found.completeness.expiries
        assert (of.expiry, of.source, of.receipts, of.minutes_received) == (EXPIRY, "upstox", 2, 2)
        assert (found.underlying, found.freshness.newest) == (PRESENT, ist(TUESDAY, 11))

    @pytest.mark.parametrize("name", [FORMER, PRESENT])
    def test_so_is_that_of_a_contract(
        self, in_two_names: Store, settings: Settings, name: str
    ) -> None:
        found = leg_history(name, EXPIRY, STRIKE, "CE", MONDAY, WEDNESDAY, settings=settings)

        assert found.table["ltp"].to_pylist() == [1.0, 2.0, 3.0, 4.0, 5.0]

    def test_a_source_is_chosen_for_all_of_an_expiry(
        self, in_two_names: Store, settings: Settings
    ) -> None:
        nse = [
            at(ist(TUESDAY, 12, minute), 9.0, PRESENT, source=ChainSource.NSE)
            for minute in (1, 2, 3)
        ]
        keep(in_two_names, *nse)

        found = chain_history(PRESENT, EXPIRY, MONDAY, WEDNESDAY, settings=settings)

        assert found.freshness.sources == ("upstox",), "five receipts, of which two are TMPV's"

    @pytest.mark.parametrize("name", [FORMER, PRESENT])
    @pytest.mark.parametrize(
        ("baseline", "since", "change"),
        [
            pytest.param("60m", ist(TUESDAY, 10), 10.0, id="an hour ago"),
            pytest.param("day-open", ist(TUESDAY, 10), 10.0, id="the opening"),
            pytest.param("1440m", ist(MONDAY, 10), 30.0, id="a day ago"),
            pytest.param(ist(TUESDAY, 10, 30).isoformat(), ist(TUESDAY, 10), 10.0, id="an instant"),
        ],
    )
    def test_build_up_has_its_baseline_before_the_rename(
        self,
        in_two_names: Store,
        settings: Settings,
        name: str,
        baseline: str,
        since: datetime,
        change: float,
    ) -> None:
        found = chain_metrics(settings, name, None, ist(TUESDAY, 11, 30), None, baseline)

        assert found.baseline.since == since
        assert [each.oi_change for each in found.moved] == [change]

    def test_the_surface_has_every_expiry(self, in_two_names: Store, settings: Settings) -> None:
        keep(in_two_names, at(ist(MONDAY, 10), 7.0, expiry=NEXT_EXPIRY))

        found = stored_surface(settings, FORMER, None, None)

        assert [each.chain.spot for each in found.snapshots] == [5.0, 7.0]
        assert {each.chain.underlying for each in found.snapshots} == {PRESENT}

    def test_its_configuration_and_its_holdings_are_those_of_the_present_name(
        self, in_two_names: Store, settings: Settings
    ) -> None:
        config = SymbolConfig(symbol=FORMER, instrument_key=TATA.instrument_key, strikes=4)
        SymbolConfigs(in_two_names).set(config, ist(MONDAY, 9))

        _, strikes = stored_chain(settings, FORMER, None, None, None)
        status = chain_status(settings, in_two_names)

        assert strikes == 4
        [held] = status.holdings.underlyings
        assert (held.underlying, held.last_confirmed) == (PRESENT, ist(WEDNESDAY, 10))
        assert [each.symbol for each in status.configs] == [PRESENT]
        assert status.holding(PRESENT) == held


class TestBearers:
    """Names that stood for one underlying after the other, or for none."""

    def test_a_company_that_takes_a_symbol_has_only_its_own_chains(
        self, in_two_names: Store, settings: Settings
    ) -> None:
        listed(in_two_names, THURSDAY, TMPV, TAKER)
        keep(in_two_names, at(ist(THURSDAY, 10), 8.0), at(ist(THURSDAY, 10), 6.0, PRESENT))

        spots = {
            name: chain_history(name, None, MONDAY, THURSDAY, settings=settings)
            .table["spot"]
            .to_pylist()
            for name in (FORMER, PRESENT)
        }

        assert spots == {FORMER: [8.0], PRESENT: [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}
        assert chain(PRESENT, at=ist(MONDAY, 12), settings=settings).spot == 1.0
        with pytest.raises(SetupError, match="no chain of TATAMOTORS is stored as of"):
            chain(FORMER, at=ist(WEDNESDAY, 12), settings=settings)
        held = chain_status(settings, in_two_names).holdings.underlyings
        assert [(each.underlying, each.last_confirmed) for each in held] == [
            (FORMER, ist(THURSDAY, 10)),
            (PRESENT, ist(THURSDAY, 10)),
        ]

    def test_one_without_a_symbol_of_its_own_any_more_is_found_by_its_key(
        self, store: Store, settings: Settings
    ) -> None:
        listed(store, MONDAY, TATA)
        keep(store, at(ist(MONDAY, 10), 1.0))
        for day in (TUESDAY, date(2025, 7, 31)):
            listed(store, day, stock("OTHER"))
        listed(store, date(2025, 8, 1), stock("OTHER"), TAKER)

        assert chain(TATA.instrument_key, settings=settings).spot == 1.0
        with pytest.raises(SetupError, match="no chain of TATAMOTORS is stored"):
            chain(FORMER, settings=settings)

    def test_a_new_isin_leaves_the_history_of_a_symbol_whole(
        self, in_two_names: Store, settings: Settings
    ) -> None:
        listed(in_two_names, THURSDAY, SPLIT)
        keep(in_two_names, at(ist(THURSDAY, 10), 6.0, PRESENT))

        for name in (FORMER, PRESENT, TATA.instrument_key, SPLIT.instrument_key):
            found = chain_history(name, EXPIRY, MONDAY, THURSDAY, settings=settings)
            assert found.table["spot"].to_pylist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]

    def test_a_rename_that_is_taken_back_leaves_one_history(
        self, in_two_names: Store, settings: Settings
    ) -> None:
        listed(in_two_names, THURSDAY, TATA)
        keep(in_two_names, at(ist(THURSDAY, 10), 6.0))

        for name in (FORMER, PRESENT):
            found = chain_history(name, EXPIRY, MONDAY, THURSDAY, settings=settings)
            assert found.underlying == FORMER
            assert found.table["spot"].to_pylist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]

    def test_a_name_of_no_known_instrument_stands_for_itself(
        self, store: Store, settings: Settings
    ) -> None:
        keep(store, at(ist(MONDAY, 10), 1.0))

        found = chain("tatamotors", settings=settings)

        assert (found.underlying, found.spot) == (FORMER, 1.0)
        assert len(chain_history(FORMER, None, MONDAY, MONDAY, settings=settings).table) == 1
        assert [each.underlying for each in chain_status(settings, store).holdings.underlyings] == [
            FORMER
        ]

    def test_a_chain_that_is_stored_under_a_key_is_found_when_the_instrument_is_known(
        self, store: Store, settings: Settings
    ) -> None:
        keep(store, at(ist(MONDAY, 10), 1.0, TATA.instrument_key))
        listed(store, TUESDAY, TATA)

        found = chain(FORMER, settings=settings)

        assert (found.underlying, found.spot) == (FORMER, 1.0)


class TestMovedExpiry:
    """An expiry that the exchange moves remains one chain."""

    @pytest.fixture
    def moved(self, store: Store) -> Store:
        """From the 24th to the 26th; on that day, chains under both."""
        listed(store, MONDAY, TMPV, *contracts(EXPIRY))
        keep(store, at(ist(MONDAY, 10), 1.0, PRESENT), at(ist(TUESDAY, 10), 2.0, PRESENT))
        listed(store, TUESDAY, TMPV, *contracts(NEXT_EXPIRY), *contracts(NEXT_EXPIRY, 9, 200))
        keep(store, at(ist(TUESDAY, 11), 3.0, PRESENT, NEXT_EXPIRY))
        return store

    @pytest.mark.parametrize("expiry", [EXPIRY, NEXT_EXPIRY])
    def test_it_is_found_by_either_expiry(
        self, moved: Store, settings: Settings, expiry: date
    ) -> None:
        before = chain(PRESENT, expiry, ist(MONDAY, 12), settings=settings)
        figures = chain_history(PRESENT, expiry, MONDAY, TUESDAY, settings=settings)
        legs = leg_history(PRESENT, expiry, STRIKE, "CE", MONDAY, TUESDAY, settings=settings)
        compared = chain_metrics(settings, PRESENT, expiry, None, None, "day-open")

        assert (before.expiry, before.spot) == (NEXT_EXPIRY, 1.0)
        assert before.table["expiry"].to_pylist() == [NEXT_EXPIRY]
        for found in (figures, legs):
            assert found.table["spot"].to_pylist() == [1.0, 2.0, 3.0]
            assert set(found.table["expiry"].to_pylist()) == {NEXT_EXPIRY}
            [of] = found.completeness.expiries
            assert (of.expiry, of.receipts) == (NEXT_EXPIRY, 3)
        assert compared.baseline.since == ist(TUESDAY, 10)

    def test_it_is_one_of_the_stored_expiries(self, moved: Store, settings: Settings) -> None:
        found = chain_history(PRESENT, None, MONDAY, TUESDAY, settings=settings)

        assert [each.expiry for each in found.completeness.expiries] == [NEXT_EXPIRY]
        assert found.table["spot"].to_pylist() == [1.0, 2.0, 3.0]

    def test_it_is_over_when_its_present_expiry_is(self, moved: Store, settings: Settings) -> None:
        far = date(2025, 7, 29)
        keep(moved, at(ist(TUESDAY, 12), 9.0, PRESENT, far))

        of = {
            day: chain(PRESENT, at=ist(day, 16), settings=settings).expiry
            for day in (EXPIRY, NEXT_EXPIRY)
        }

        assert of == {EXPIRY: NEXT_EXPIRY, NEXT_EXPIRY: far}

    def test_one_without_a_receipt_since_is_over_on_its_new_day(
        self, store: Store, settings: Settings
    ) -> None:
        listed(store, MONDAY, TMPV, *contracts(NEXT_EXPIRY))
        keep(store, at(ist(MONDAY, 10), 1.0, PRESENT, NEXT_EXPIRY))
        keep(store, at(ist(MONDAY, 10), 9.0, PRESENT, date(2025, 7, 29)))
        listed(store, TUESDAY, TMPV, *contracts(EXPIRY))

        of = {
            hour: chain(PRESENT, at=ist(EXPIRY, hour), settings=settings).spot for hour in (15, 16)
        }

        assert of == {15: 1.0, 16: 9.0}

    def test_expiries_that_are_moved_on_to_each_other_do_not_mix(
        self, store: Store, settings: Settings
    ) -> None:
        far = date(2025, 6, 30)
        listed(store, MONDAY, TMPV, *contracts(NEXT_EXPIRY), *contracts(far, 3, 200))
        keep(
            store,
            at(ist(MONDAY, 10), 1.0, PRESENT, NEXT_EXPIRY),
            at(ist(MONDAY, 10), 9.0, PRESENT, far),
        )
        listed(store, TUESDAY, TMPV, *contracts(EXPIRY), *contracts(NEXT_EXPIRY, 3, 200))
        keep(
            store,
            at(ist(TUESDAY, 10), 2.0, PRESENT, EXPIRY),
            at(ist(TUESDAY, 10), 8.0, PRESENT, NEXT_EXPIRY),
        )

        spots = {
            expiry: chain_history(PRESENT, expiry, MONDAY, TUESDAY, settings=settings)
            .table["spot"]
            .to_pylist()
            for expiry in (EXPIRY, NEXT_EXPIRY, far)
        }

        assert spots == {EXPIRY: [1.0, 2.0], NEXT_EXPIRY: [9.0, 8.0], far: [9.0, 8.0]}
        assert chain(PRESENT, EXPIRY, ist(MONDAY, 12), settings=settings).spot == 1.0
        assert chain(PRESENT, NEXT_EXPIRY, ist(MONDAY, 12), settings=settings).spot == 9.0

    @pytest.mark.parametrize("meanwhile", [date(2025, 6, 20), NEXT_EXPIRY])
    def test_one_that_is_moved_back_has_what_was_stored_meanwhile(
        self, store: Store, settings: Settings, meanwhile: date
    ) -> None:
        listed(store, MONDAY, TMPV, *contracts(EXPIRY))
        keep(store, at(ist(MONDAY, 10), 1.0, PRESENT))
        listed(store, TUESDAY, TMPV, *contracts(meanwhile))
        keep(store, at(ist(TUESDAY, 10), 2.0, PRESENT, meanwhile))
        listed(store, WEDNESDAY, TMPV, *contracts(EXPIRY))
        keep(store, at(ist(WEDNESDAY, 10), 3.0, PRESENT))

        for expiry in (EXPIRY, meanwhile, None):
            found = chain_history(PRESENT, expiry, MONDAY, WEDNESDAY, settings=settings)
            assert found.table["spot"].to_pylist() == [1.0, 2.0, 3.0]

    def test_a_contract_that_is_moved_alone_moves_no_chain(
        self, store: Store, settings: Settings
    ) -> None:
        one, *others = contracts(EXPIRY)
        listed(store, MONDAY, TMPV, one, *others)
        keep(store, at(ist(MONDAY, 10), 1.0, PRESENT))
        listed(store, TUESDAY, TMPV, *contracts(NEXT_EXPIRY, 1), *others)

        assert chain(PRESENT, settings=settings).expiry == EXPIRY
        with pytest.raises(SetupError, match="no such chain"):
            chain(PRESENT, NEXT_EXPIRY, settings=settings)

    @pytest.mark.parametrize("source", list(ChainSource))
    def test_its_contracts_keep_their_keys_and_lots(
        self, store: Store, settings: Settings, source: ChainSource
    ) -> None:
        lots = [replace(each, lot_size=550) for each in contracts(EXPIRY)]
        listed(store, MONDAY, TMPV, *lots)
        listed(
            store, TUESDAY, TMPV, *(replace(each, lot_size=550) for each in contracts(NEXT_EXPIRY))
        )
        enricher = ChainEnricher(store, MarketCalendar.reviewed())
        named = source is ChainSource.UPSTOX
        for day, expiry in ((MONDAY, EXPIRY), (TUESDAY, NEXT_EXPIRY)):
            legs = [
                ChainLeg(
                    strike=Decimal(number),
                    option_type=OptionType.CALL,
                    live_key=f"NSE_FO|{number}" if named else None,
                    ltp=5.0,
                )
                for number in (100, 101)
            ]
            of = a_chain(float(day.day), *legs, underlying=PRESENT, expiry=expiry, source=source)
            keep(store, *enricher.received([ParsedResponse(chains=[of], received_at=ist(day, 10))]))

        for at_instant in (ist(MONDAY, 12), None):
            found = chain(PRESENT, EXPIRY, at_instant, settings=settings)
            assert found.lot_size == 550
            assert found.table["instrument_key"].to_pylist() == [
                each.instrument_key for each in lots[:2]
            ]
