"""Which option chains are polled: the defaults, and what users have configured."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TypedDict

from data_fetch.core.chains.polling import PollRequest, Target
from data_fetch.core.chains.symbol_config import SymbolConfig, default_config, in_force
from data_fetch.core.errors import SetupError
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.settings import Settings
from data_fetch.storage.chains.symbol_config import SymbolConfigs
from data_fetch.storage.database.store import Store
from data_fetch.storage.instruments.contracts import listed_expiries
from data_fetch.storage.instruments.instruments import (
    instruments_named,
    last_master_date,
    present_instruments,
)


class ConfigChanges(TypedDict, total=False):
    """The fields of a configuration that a user changes."""

    refresh_seconds: int
    expiries: int
    strikes: int | None
    pinned: bool


@dataclass(frozen=True, slots=True)
class PolledSymbol:
    """A symbol that is polled, and its underlying."""

    config: SymbolConfig
    underlying: Instrument

    @property
    def poll_request(self) -> PollRequest:
        return PollRequest(
            symbol=self.config.symbol,
            requested_interval=self.config.refresh_seconds,
            requests=self.config.expiries,
            priority=self.config.pinned or self.underlying.segment == "NSE_INDEX",
        )

    @property
    def target(self) -> Target:
        return Target(self.underlying, self.config.expiries, self.config.strikes)


@dataclass(frozen=True, slots=True)
class PollTargets:
    """The symbols to poll, and the *unknown* ones: the store has no instrument of that name."""

    polled: tuple[PolledSymbol, ...]
    unknown: tuple[str, ...] = ()

    @property
    def poll_requests(self) -> list[PollRequest]:
        return [each.poll_request for each in self.polled]


@dataclass(frozen=True, slots=True)
class Polling:
    """The polled symbols of *store*.

    By default these are the indices among *members* and the symbols of NSE_SYMBOLS; what users
    set replaces the defaults. A running collector follows a change within a minute.
    """

    settings: Settings
    store: Store
    members: Sequence[Instrument]

    def configs(self) -> list[SymbolConfig]:
        """Every symbol that is polled or paused."""
        return in_force(self._defaults(), SymbolConfigs(self.store).all())

    def poll_targets(self) -> PollTargets:
        """The active symbols and the underlying of each, also after a change of its key."""
        configs = [each for each in self.configs() if each.active]
        keys = [each.instrument_key for each in configs]
        with self.store.reading() as connection:
            found = present_instruments(connection, keys)
        _, unknown = self._from_settings()
        polled = [
            PolledSymbol(each, found[each.instrument_key])
            for each in configs
            if each.instrument_key in found
        ]
        gone = [each.symbol for each in configs if each.instrument_key not in found]
        return PollTargets(tuple(polled), (*gone, *unknown))

    def targets(self, symbols: Sequence[str]) -> list[Target]:
        """The targets for *symbols*, as configured; without any, for all that are polled.

        Raises SetupError for a symbol that is not known, and when there is nothing to poll.
        """
        polled = {each.config.symbol: each for each in self.poll_targets().polled}
        if not symbols and not polled:
            raise SetupError(
                "nothing is polled", hint="Name a symbol, or: data-fetch symbols add NIFTY"
            )
        if symbols:
            named = [self.underlying(symbol) for symbol in symbols]
            chosen = [
                polled.get(one.symbol) or PolledSymbol(self._usual(one), one) for one in named
            ]
        else:
            chosen = list(polled.values())
        return [each.target for each in chosen]

    def add(self, symbols: Sequence[str], changes: ConfigChanges, now: datetime) -> None:
        """Poll *symbols* too, with *changes*; a paused one is polled again.

        Raises SetupError for a symbol that is not known or has no options, before anything is
        changed.
        """
        known = {each.symbol: each for each in self.configs()}
        for underlying in [self._with_options(symbol) for symbol in symbols]:
            before = known.get(underlying.symbol) or self._usual(underlying)
            self._set(replace(before, active=True, **changes), now)

    def change(self, symbol: str, changes: ConfigChanges, now: datetime) -> None:
        """Poll *symbol* with *changes*. Raises SetupError when it is not polled."""
        self._set(replace(self._config(symbol), **changes), now)

    def pause(self, symbols: Sequence[str], now: datetime) -> None:
        """Stop polling *symbols* until they are added again.

        Raises SetupError for one that is not polled, before anything is changed.
        """
        for config in [self._config(symbol) for symbol in symbols]:
            self._set(replace(config, active=False), now)

    def underlying(self, symbol: str) -> Instrument:
        """The instrument of *symbol*. Raises SetupError when the store does not know it."""
        with self.store.reading() as connection:
            return instruments_named(connection, [symbol]).resolved().members[0]

    def _set(self, config: SymbolConfig, now: datetime) -> None:
        SymbolConfigs(self.store).set(config, now)

    def _config(self, symbol: str) -> SymbolConfig:
        underlying = self.underlying(symbol)
        for config in self.configs():
            if config.symbol == underlying.symbol:
                return config
        raise SetupError(
            f"{underlying.symbol} is not polled", hint=f"Add it: data-fetch symbols add '{symbol}'"
        )

    def _usual(self, underlying: Instrument) -> SymbolConfig:
        """The configuration of *underlying* as long as no user has set one."""
        return default_config(underlying, default_interval(self.settings))

    def _with_options(self, symbol: str) -> Instrument:
        """The underlying *symbol*. Raises SetupError when no option on it is listed."""
        found = self.underlying(symbol)
        with self.store.reading() as connection:
            today = last_master_date(connection) or date.min
            if listed_expiries(connection, [found.instrument_key], today):
                return found
        raise SetupError(
            f"no option on {found.symbol} is listed",
            hint="Only underlyings with options can be polled: `data-fetch universe` lists them.",
        )

    def _defaults(self) -> list[SymbolConfig]:
        with self.store.reading() as connection:
            # The day of the master and not today, which only the provider knows.
            today = last_master_date(connection) or date.min
            indices = [
                each
                for each in self.members
                if each.segment == "NSE_INDEX"
                and listed_expiries(connection, [each.instrument_key], today)
            ]
        named, _ = self._from_settings()
        interval = default_interval(self.settings)
        return [
            *(default_config(each, interval) for each in indices),
            *(default_config(each, interval, pinned=True) for each in named),
        ]

    def _from_settings(self) -> tuple[Sequence[Instrument], Sequence[str]]:
        """The instruments of NSE_SYMBOLS, and the names in it that the store does not know."""
        if not self.settings.nse_symbols:
            return (), ()
        with self.store.reading() as connection:
            named = instruments_named(connection, self.settings.nse_symbols)
        return named.members, [each.symbol for each in named.unresolved]


def default_interval(settings: Settings) -> int | None:
    """Default refresh interval in seconds, if configured."""
    if settings.data_source == "nse" and settings.nse_fetch_interval is not None:
        return max(1, round(settings.nse_fetch_interval))
    return settings.refresh_interval
