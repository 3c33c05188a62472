"""The F&O universe: the instruments of a list of symbols.

It depends on instrument masters alone and on no date, so an old master works as well. A symbol
that was given up stands for what its last bearer has become. Every symbol that cannot be resolved
is reported.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from data_fetch.core.errors import UnknownSymbol
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.instruments.near_symbols import NearSymbols
from data_fetch.core.text import in_capitals, presentable

# A stock may be in a trade-to-trade or small-company series, a trust in its own. Bonds and
# debentures have the symbol of their company and must not be taken for its stock.
EQUITY_SERIES = ("EQ", "BE", "BZ", "SM", "ST", "SZ", "RR", "IV")


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A listed symbol that is not in the master, and the nearest symbols that are."""

    symbol: str
    near: tuple[str, ...]

    @property
    def near_text(self) -> str:
        """ "Near: A, B. ", or nothing."""
        return f"Near: {', '.join(self.near)}. " if self.near else ""


@dataclass(frozen=True, slots=True)
class Followed:
    """A listed symbol that was given up, and the *instrument* that its last bearer has become."""

    symbol: str
    instrument: Instrument

    def __str__(self) -> str:
        return f"{self.symbol} is {self.instrument.symbol} now"


@dataclass(frozen=True, slots=True, kw_only=True)
class Universe:
    """The instruments of the listed symbols, in their order.

    Every listed symbol is a member, unresolved, or one of *duplicates*: other spellings
    ("NIFTY 50") of an instrument that is a member already. *followed* are members and duplicates
    under a former symbol.
    """

    members: tuple[Instrument, ...]
    unresolved: tuple[Unresolved, ...]
    duplicates: tuple[str, ...]
    followed: tuple[Followed, ...] = ()

    @property
    def listed(self) -> int:
        """How many distinct symbols were listed."""
        return len(self.members) + len(self.unresolved)

    def resolved(self) -> "Universe":
        """Return itself. Raises UnknownSymbol for the first one that is unresolved."""
        for missing in self.unresolved:
            raise UnknownSymbol(
                f"the store knows no instrument named {presentable(missing.symbol)}",
                near=missing.near,
                hint=f"{missing.near_text}Its instrument master may be old, or not stored yet: "
                "data-fetch collect --once renews it.",
            )
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Underlyings:
    """The symbols on which the exchange lists futures, each tuple in alphabetical order."""

    stocks: tuple[str, ...]
    indices: tuple[str, ...]

    @property
    def symbols(self) -> tuple[str, ...]:
        return self.indices + self.stocks


def is_equity(instrument: Instrument) -> bool:
    """Whether it is a share (or a trust's unit) of the cash segment, not a bond."""
    return instrument.segment == "NSE_EQ" and instrument.instrument_type in EQUITY_SERIES


def resolve(
    symbols: Iterable[str],
    instruments: Iterable[Instrument],
    last_bearers: Mapping[str, Instrument] = MappingProxyType({}),
) -> Universe:
    """The instruments of *symbols* among *instruments*.

    A stock is found by its trading symbol in the cash segment, an index by its symbol or
    its name, whatever the spacing ("NIFTY NEXT 50", "Nifty 50"). What none of them bears is
    looked up in *last_bearers*, by the symbol in capitals.
    """
    directory = _Directory(instruments)
    members: dict[str, Instrument] = {}
    missing: list[str] = []
    duplicates: list[str] = []
    followed: list[Followed] = []
    for symbol in symbols:
        instrument = directory.find(symbol) or last_bearers.get(in_capitals(symbol))
        if instrument is None:
            missing.append(symbol)
            continue
        if not _is_called(instrument, symbol):
            followed.append(Followed(symbol, instrument))
        if instrument.instrument_key in members:
            duplicates.append(symbol)
        else:
            members[instrument.instrument_key] = instrument
    return Universe(
        members=tuple(members.values()),
        unresolved=directory.unresolved(missing),
        duplicates=tuple(duplicates),
        followed=tuple(followed),
    )


def derive_universe(instruments: Iterable[Instrument]) -> Underlyings:
    """The stocks and indices on which *instruments* has futures, expired ones included."""
    directory = _Directory(instruments)
    return Underlyings(
        stocks=directory.underlyings("NSE_EQ|"), indices=directory.underlyings("NSE_INDEX|")
    )


class _Directory:
    """An index of the instrument master by symbol and name, built in one pass."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._stocks: dict[str, Instrument] = {}
        self._indices: dict[str, Instrument] = {}
        self._underlyings: dict[str, str] = {}
        self._by_key: dict[str, Instrument] = {}
        for instrument in instruments:
            self._add(instrument)

    def _add(self, instrument: Instrument) -> None:
        if instrument.instrument_type == "FUT":
            key, symbol = instrument.underlying_key, instrument.underlying_symbol
            if key and symbol:
                self._underlyings[key] = symbol
        elif instrument.segment == "NSE_INDEX":
            self._by_key[instrument.instrument_key] = instrument
            for spelling in (instrument.name, instrument.symbol):
                self._indices[_without_spaces(spelling)] = instrument
        elif is_equity(instrument):
            self._by_key[instrument.instrument_key] = instrument
            known = self._stocks.get(instrument.symbol)
            if known is None or _series_rank(instrument) < _series_rank(known):
                self._stocks[instrument.symbol] = instrument

    def find(self, symbol: str) -> Instrument | None:
        return (
            self._stocks.get(in_capitals(symbol))
            or self._indices.get(_without_spaces(symbol))
            or self._by_key.get(symbol)
        )

    def underlyings(self, prefix: str) -> tuple[str, ...]:
        # Symbols resolve by the cash segment; a contract may still have the former symbol.
        return tuple(
            sorted(
                self._by_key[key].symbol if key in self._by_key else symbol
                for key, symbol in self._underlyings.items()
                if key.startswith(prefix)
            )
        )

    def unresolved(self, missing: Sequence[str]) -> tuple[Unresolved, ...]:
        if not missing:
            return ()
        symbols = NearSymbols(
            (instrument.symbol, instrument.name, key in self._underlyings)
            for key, instrument in self._by_key.items()
        )
        return tuple(Unresolved(symbol, symbols.near(symbol)) for symbol in missing)


def _is_called(instrument: Instrument, symbol: str) -> bool:
    """Whether *symbol* is a present name or the key of *instrument*."""
    names = (instrument.symbol, instrument.name, instrument.instrument_key)
    return _without_spaces(symbol) in map(_without_spaces, names)


def _without_spaces(spelling: str) -> str:
    return "".join(in_capitals(spelling).split())


def _series_rank(instrument: Instrument) -> int:
    return EQUITY_SERIES.index(instrument.instrument_type)
