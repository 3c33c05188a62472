"""Faults on demand: what may be ordered, and when it falls due.

A fault names its *kind* and, if it likes, which requests it strikes (`api`, `path`,
`instruments`), how many (`times`), and between which instants of the exchange's clock
(`from`, `until`; without a zone they are Indian time). It comes from a script

    [[fault]]
    kind = "rate-limited"
    api = "ltp"
    times = 2
    retry_after = 3

in TOML, or as the same in JSON: ``{"fault": [{"kind": "rate-limited", "api": "ltp"}]}``.
What each kind does is in `misbehaviour`, and to option chains in `chain_misbehaviour`.
"""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from data_fetch.core.clock import IST
from data_fetch.core.errors import SetupError

QUOTES = frozenset({"ltp", "ohlc"})
CANDLES = frozenset({"candles", "expired-candles"})
CHAIN = frozenset({"option-chain"})
NSE_QUESTIONS = frozenset({"nse-contract-info", "nse-chain"})
NSE = NSE_QUESTIONS | {"nse-page"}
CHAINS = CHAIN | {"nse-chain"}
MASTER = frozenset({"master"})
HOLIDAYS = frozenset({"holidays"})
ENVELOPED = frozenset(
    {"option-contract", "timings", "market-status"} | QUOTES | CANDLES | CHAIN | HOLIDAYS
)
WITH_TOKEN = ENVELOPED - {"candles", "timings"} - HOLIDAYS
APIS = ENVELOPED | MASTER | {"login"}

# kind -> the APIs it can strike, all of them unless the fault names fewer
KINDS: Mapping[str, frozenset[str]] = {
    "rate-limited": APIS,
    "rate-limited-in-200": ENVELOPED,
    "error-in-200": ENVELOPED,
    "html-in-200": APIS | NSE_QUESTIONS,
    "cloudflare-403": APIS,
    "server-error": APIS | NSE,
    "maintenance": APIS | NSE,
    "token-expired": WITH_TOKEN,
    "plan-needed": frozenset({"expired-candles"}),
    "unknown-key": QUOTES | CANDLES | CHAIN | {"option-contract"},
    "reset": APIS | NSE,
    "slow-body": APIS | NSE,
    "cut-mid-body": APIS | NSE,
    "truncated-json": ENVELOPED | NSE_QUESTIONS,
    "partial-success": ENVELOPED,
    "empty-data": ENVELOPED,
    "left-out": QUOTES,
    "nulls": QUOTES | CANDLES,
    "strings-for-numbers": QUOTES | CANDLES,
    "negative-price": QUOTES | CANDLES,
    "nan-price": QUOTES | CANDLES,
    "falling-volume": frozenset({"ltp"}),
    "future-candles": CANDLES,
    "late-candles": CANDLES,
    "yesterdays-bars": frozenset({"candles"}),
    "lost-minutes": CANDLES | {"ohlc"},
    "withheld-minutes": CANDLES | {"ohlc"},
    "corrected-candles": CANDLES,
    "shuffled-candles": CANDLES,
    "duplicated-candles": CANDLES,
    "unparsable-candle": CANDLES,
    "missing-call": CHAINS,
    "missing-put": CHAINS,
    "placeholder-legs": CHAINS,
    "renamed-fields": CHAINS,
    "retyped-fields": CHAINS,
    "unit-changed": CHAINS,
    "frozen-chain": CHAINS,
    "empty-object": NSE_QUESTIONS,
    "nse-401": NSE_QUESTIONS,
    "nse-403": NSE,
    "misdirected-421": NSE,
    "empty-master": MASTER,
    "truncated-master": MASTER,
    "empty-holidays": HOLIDAYS,
}
OF_SOME_BARS = frozenset({"lost-minutes", "withheld-minutes", "corrected-candles"})
OPTIONS: Mapping[str, frozenset[str]] = {
    "retry_after": frozenset({"rate-limited", "maintenance"}),
    "seconds": frozenset({"slow-body"}),
    "minutes": frozenset({"late-candles"}),
    "bars_from": OF_SOME_BARS,
    "bars_until": OF_SOME_BARS,
    "factor": frozenset({"corrected-candles"}),
}


def _in_india(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=IST)


Instant = Annotated[datetime, AfterValidator(_in_india)]


class Fault(BaseModel):
    """One order for trouble."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    kind: str
    api: str | None = None
    path: str | None = None
    instruments: frozenset[str] = frozenset()
    times: int | None = Field(default=None, ge=1)
    since: Instant | None = Field(default=None, alias="from")
    until: Instant | None = None
    retry_after: int | None = Field(default=None, ge=0)
    seconds: float = Field(default=2.0, gt=0)
    minutes: int = Field(default=5, ge=1)
    bars_from: Instant | None = None
    bars_until: Instant | None = None
    factor: float = Field(default=1.01, gt=0)

    @model_validator(mode="after")
    def _makes_sense(self) -> "Fault":
        if self.kind not in KINDS:
            raise ValueError(f"there is no such kind; there are {', '.join(sorted(KINDS))}")
        if self.api is not None and self.api not in KINDS[self.kind]:
            raise ValueError(f"api {self.api!r} cannot be struck; {_listed(KINDS[self.kind])} can")
        for option in self.model_fields_set & OPTIONS.keys():
            if self.kind not in OPTIONS[option]:
                raise ValueError(f"{option!r} belongs to {_listed(OPTIONS[option])}")
        if self.kind == "withheld-minutes" and self.until is None:
            raise ValueError("what is withheld comes in the end: 'until' when?")
        if self.kind == "frozen-chain" and self.since is None:
            raise ValueError("a frozen chain repeats the answer of one instant: 'from' when?")
        return self

    def strikes(self, api: str, path: str, keys: Sequence[str], now: datetime) -> bool:
        return (
            api in KINDS[self.kind]
            and self.api in {None, api}
            and self.path in {None, path}
            and (not self.instruments or not self.instruments.isdisjoint(keys))
            and (self.since is None or self.since <= now)
            and (self.until is None or now < self.until)
        )

    def concerns(self, key: str) -> bool:
        """Whether the row of *key* is to be spoilt."""
        return not self.instruments or key in self.instruments

    def covers(self, start: datetime) -> bool:
        """Whether the bar that begins at *start* is one of those meant."""
        return (self.bars_from is None or self.bars_from <= start) and (
            self.bars_until is None or start < self.bars_until
        )


@dataclass(frozen=True, slots=True)
class Scene:
    """What a spoiler may have to know: the exchange's time, and the lot of what was asked for."""

    now: datetime
    lot: int


Spoiler = Callable[[Fault, Any, Scene], Any]


@dataclass(slots=True)
class _Order:
    fault: Fault
    struck: int = 0


@dataclass(slots=True)
class FaultBook:
    """The faults that are ordered, and how often each has struck."""

    _orders: list[_Order] = field(default_factory=list)

    def order(self, faults: Sequence[Fault]) -> None:
        self._orders += [_Order(fault) for fault in faults]

    def clear(self) -> None:
        self._orders.clear()

    def due(self, api: str, path: str, keys: Sequence[str], now: datetime) -> tuple[Fault, ...]:
        """The faults that strike this request; each has struck once more."""
        due = [
            order
            for order in self._orders
            if (order.fault.times is None or order.struck < order.fault.times)
            and order.fault.strikes(api, path, keys, now)
        ]
        for order in due:
            order.struck += 1
        return tuple(order.fault for order in due)

    def as_documents(self) -> list[dict[str, Any]]:
        return [
            {
                **order.fault.model_dump(mode="json", by_alias=True, exclude_unset=True),
                "struck": order.struck,
            }
            for order in self._orders
        ]


def read_faults(document: Any) -> list[Fault]:
    """The faults of a script or a control request: one, or several under `fault`.

    Raises SetupError naming the first fault that makes no sense, and why.
    """
    ordered = document.get("fault", [document]) if isinstance(document, dict) else document
    if not isinstance(ordered, list):
        raise SetupError(
            "a fault script holds a list named 'fault'", hint="Write [[fault]] above each one."
        )
    return [_read(number, each) for number, each in enumerate(ordered, 1)]


def load_faults(path: Path) -> list[Fault]:
    """The faults of a script file, TOML or (named .json) JSON. Raises SetupError."""
    try:
        text = path.read_text(encoding="utf-8")
        document = orjson.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, UnicodeDecodeError, ValueError) as problem:
        raise SetupError(f"{path} is not a fault script ({problem})") from problem
    return read_faults(document)


def _read(number: int, ordered: Any) -> Fault:
    kind = ordered.get("kind", "?") if isinstance(ordered, dict) else "?"
    try:
        return Fault.model_validate(ordered)
    except ValidationError as invalid:
        told = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg']}" if e["loc"] else e["msg"]
            for e in invalid.errors()
        )
        raise SetupError(f"fault {number} ({kind}): {told}") from None


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
