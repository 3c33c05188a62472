"""Injected faults: their definitions, and which requests they apply to.

A fault has a *kind* and optionally the requests it applies to (`api`, `path`,
`instruments`), their number (`times`), and a period on the exchange's clock (`from`,
`until`; IST unless they have an offset). It is defined in a TOML script

    [[fault]]
    kind = "rate-limited"
    api = "ltp"
    times = 2
    retry_after = 3

or as JSON: ``{"fault": [{"kind": "rate-limited", "api": "ltp"}]}``.
The effect of each kind is in `effects`, that on option chains in `chain_effects`, and on frames
of the market data feed in `feed_effects`.
"""

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
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
NSE_APIS = frozenset({"nse-contract-info", "nse-chain", "nse-holidays"})
NSE = NSE_APIS | {"nse-page"}
CHAINS = CHAIN | {"nse-chain"}
MASTER = frozenset({"master"})
HOLIDAYS = frozenset({"holidays"})
ENVELOPED = frozenset(
    {"option-contract", "timings", "market-status"} | QUOTES | CANDLES | CHAIN | HOLIDAYS
)
WITH_TOKEN = ENVELOPED - {"candles", "timings"} - HOLIDAYS
LOGIN = frozenset({"login", "login-dialog", "login-approval"})
APIS = ENVELOPED | MASTER | LOGIN
# Of the market data feed: the request for an address, the handshake, and what happens on a socket.
FEED_ADDRESS = frozenset({"feed-authorize", "feed-connect"})
FEED_SOCKET, FEED_PING = frozenset({"feed-socket"}), frozenset({"feed-ping"})
FEED_SNAPSHOT, FEED_LIVE = frozenset({"feed-snapshot"}), frozenset({"feed-live"})
FEED_PACKETS = FEED_SNAPSHOT | FEED_LIVE
FEED_FRAMES = FEED_PACKETS | {"feed-info"}

# kind -> the APIs it applies to; a fault may name one of them
KINDS: Mapping[str, frozenset[str]] = {
    "rate-limited": APIS | FEED_ADDRESS,
    "rate-limited-in-200": ENVELOPED | {"feed-authorize"},
    "error-in-200": ENVELOPED | {"feed-authorize"},
    "html-in-200": APIS | NSE_APIS | FEED_ADDRESS,
    "cloudflare-403": APIS | FEED_ADDRESS,
    "server-error": APIS | NSE | FEED_ADDRESS,
    "maintenance": APIS | NSE | FEED_ADDRESS,
    "token-expired": WITH_TOKEN | FEED_ADDRESS,
    "login-denied": frozenset({"login-dialog"}),
    "plan-needed": frozenset({"expired-candles"}),
    "unknown-key": QUOTES | CANDLES | CHAIN | {"option-contract"},
    "reset": APIS | NSE,
    "slow-body": APIS | NSE,
    "cut-mid-body": APIS | NSE,
    "truncated-json": ENVELOPED | NSE_APIS,
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
    "all-zero": CHAINS,
    "renamed-fields": CHAINS,
    "retyped-fields": CHAINS,
    "unit-changed": CHAINS,
    "frozen-chain": CHAINS,
    "empty-object": NSE_APIS,
    "nse-401": NSE_APIS,
    "nse-403": NSE,
    "misdirected-421": NSE,
    "empty-master": MASTER,
    "truncated-master": MASTER,
    "empty-holidays": HOLIDAYS,
    "feed-used-code": FEED_ADDRESS,
    "feed-nowhere": FEED_ADDRESS,
    "feed-close": FEED_SOCKET,
    "feed-cut": FEED_SOCKET,
    "feed-stall": FEED_SOCKET,
    "feed-open-after-token": frozenset({"feed-token"}),
    "feed-no-pong": FEED_PING,
    "feed-unsub-ignored": frozenset({"feed-unsub"}),
    "feed-mute": FEED_FRAMES,
    "feed-half-mute": FEED_PACKETS,
    "feed-snapshot-missing": FEED_SNAPSHOT,
    "feed-zero-first": FEED_SNAPSHOT,
    "feed-partial": FEED_LIVE,
    "feed-unknown-values": FEED_FRAMES,
    "feed-late-packets": FEED_LIVE,
    "feed-duplicates": FEED_LIVE,
    "feed-large-frame": FEED_LIVE,
    "feed-cut-frame": FEED_LIVE,
    "feed-junk": FEED_LIVE,
    "feed-text-error": FEED_LIVE,
}
BAR_RANGE_KINDS = frozenset({"lost-minutes", "withheld-minutes", "corrected-candles"})
OPTIONS: Mapping[str, frozenset[str]] = {
    "retry_after": frozenset({"rate-limited", "maintenance"}),
    "seconds": frozenset({"slow-body", "feed-stall"}),
    "code": frozenset({"feed-close"}),
    "minutes": frozenset({"late-candles"}),
    "bars_from": BAR_RANGE_KINDS,
    "bars_until": BAR_RANGE_KINDS,
    "factor": frozenset({"corrected-candles"}),
}


def _with_zone(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=IST)


FaultTime = Annotated[datetime, AfterValidator(_with_zone)]


class Fault(BaseModel):
    """One injected fault."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    kind: str
    api: str | None = None
    path: str | None = None
    instruments: frozenset[str] = frozenset()
    times: int | None = Field(default=None, ge=1)
    since: FaultTime | None = Field(default=None, alias="from")
    until: FaultTime | None = None
    retry_after: int | None = Field(default=None, ge=0)
    seconds: float = Field(default=2.0, gt=0)
    code: int = Field(default=1001, ge=1000, le=4999)
    minutes: int = Field(default=5, ge=1)
    bars_from: FaultTime | None = None
    bars_until: FaultTime | None = None
    factor: float = Field(default=1.01, gt=0)

    @model_validator(mode="after")
    def _check(self) -> "Fault":
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind; the kinds are {_listed(KINDS)}")
        if self.api is not None and self.api not in KINDS[self.kind]:
            raise ValueError(
                f"does not apply to api {self.api!r}; it applies to {_listed(KINDS[self.kind])}"
            )
        for option in self.model_fields_set & OPTIONS.keys():
            if self.kind not in OPTIONS[option]:
                raise ValueError(f"{option!r} is an option of {_listed(OPTIONS[option])} only")
        if self.kind == "withheld-minutes" and self.until is None:
            raise ValueError("withheld minutes need 'until', the time at which they are published")
        if self.kind == "frozen-chain" and self.since is None:
            raise ValueError("a frozen chain needs 'from', the time of the response to repeat")
        return self

    def applies_to(self, api: str, path: str, keys: Sequence[str], now: datetime) -> bool:
        """Whether the fault changes this request; *keys* are the instruments in it."""
        return (
            api in KINDS[self.kind]
            and self.api in {None, api}
            and self.path in {None, path}
            and (not self.instruments or not self.instruments.isdisjoint(keys))
            and (self.since is None or self.since <= now)
            and (self.until is None or now < self.until)
        )

    def includes(self, key: str) -> bool:
        """Whether the fault changes the row of *key*."""
        return not self.instruments or key in self.instruments

    def covers(self, start: datetime) -> bool:
        """Whether the fault changes the candle that begins at *start*."""
        return (self.bars_from is None or self.bars_from <= start) and (
            self.bars_until is None or start < self.bars_until
        )


@dataclass(frozen=True, slots=True)
class FaultContext:
    """The exchange's time, and the lot size of the requested instrument."""

    now: datetime
    lot: int


DataEffect = Callable[[Fault, Any, FaultContext], Any]


@dataclass(slots=True)
class _ActiveFault:
    fault: Fault
    applied: int = 0

    def is_due(self, api: str, path: str, keys: Sequence[str], now: datetime) -> bool:
        exhausted = self.fault.times is not None and self.applied >= self.fault.times
        return not exhausted and self.fault.applies_to(api, path, keys, now)


@dataclass(slots=True)
class ActiveFaults:
    """The injected faults, and how often each has been applied."""

    _active: list[_ActiveFault] = field(default_factory=list)

    def add(self, faults: Sequence[Fault]) -> None:
        self._active += [_ActiveFault(fault) for fault in faults]

    def clear(self) -> None:
        self._active.clear()

    def take_due(
        self, api: str, path: str, keys: Sequence[str], now: datetime
    ) -> tuple[Fault, ...]:
        """The faults that apply to this request; counts each of them as applied."""
        due = [active for active in self._active if active.is_due(api, path, keys, now)]
        for active in due:
            active.applied += 1
        return tuple(active.fault for active in due)

    def to_json(self) -> list[dict[str, Any]]:
        return [
            {
                **active.fault.model_dump(mode="json", by_alias=True, exclude_unset=True),
                "struck": active.applied,
            }
            for active in self._active
        ]


def read_faults(document: Any) -> list[Fault]:
    """Parse a script or a control request: one fault, or several under `fault`.

    Raises SetupError with the number of the first invalid fault, and the reason.
    """
    definitions = document.get("fault", [document]) if isinstance(document, dict) else document
    if not isinstance(definitions, list):
        raise SetupError(
            "a fault script must contain a list named 'fault'",
            hint="Write [[fault]] above each fault.",
        )
    return [_parse(number, each) for number, each in enumerate(definitions, 1)]


def load_faults(path: Path) -> list[Fault]:
    """Load a fault script: JSON when its name ends in .json, else TOML. Raises SetupError."""
    try:
        text = path.read_text(encoding="utf-8")
        document = orjson.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise SetupError(f"{path} is not a valid fault script ({error})") from error
    return read_faults(document)


def _parse(number: int, definition: Any) -> Fault:
    kind = definition.get("kind", "?") if isinstance(definition, dict) else "?"
    try:
        return Fault.model_validate(definition)
    except ValidationError as invalid:
        reasons = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg']}" if e["loc"] else e["msg"]
            for e in invalid.errors()
        )
        raise SetupError(f"fault {number} ({kind}): {reasons}") from None


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
