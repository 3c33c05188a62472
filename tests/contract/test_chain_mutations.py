"""Damaged bodies: whatever a provider breaks is noticed, and no wrong number comes through.

Each is a real capture with one named damage. It is refused by name, or its bad legs are set
aside, or a remark names what is wrong, or it says exactly what the undamaged body says.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from captured_chains import NSE_LEGACY, NSE_V3, body
from captured_chains import UPSTOX as UPSTOX_BODY
from chain_damage import (
    BOOK_LEGACY,
    BOOK_V3,
    CALLED,
    FIELD_DAMAGES,
    LEGACY,
    NSE_IDENTITY,
    NSE_NEEDED,
    NSE_OTHERS,
    UPSTOX,
    UPSTOX_GREEKS,
    UPSTOX_NEEDED,
    UPSTOX_OTHERS,
    V3,
    WHOLE,
    Damage,
    Leg,
    Shape,
    busier,
    changed,
    dated,
    every_count,
    every_price,
    every_strike,
    in_every_strike,
    in_names_of_legs,
    instead,
    member,
    numbers_swapped,
    of_all_legs,
    of_all_rows,
    of_middle_row,
    of_one_leg,
    on_one_side,
    placeholder,
    removed,
    renamed,
    reordered,
    replaced,
    sides_swapped,
    text_of,
    twice,
    with_another_row,
    with_stray_row,
)

from data_fetch.core.chains.chains import Chain, ChainError, ChainLeg, ParsedChains
from data_fetch.core.failures import FailureKind
from data_fetch.sources.captured_chains import CapturedDocument, read_document

CAPTURES = {V3.name: NSE_V3, LEGACY.name: NSE_LEGACY, UPSTOX.name: UPSTOX_BODY}
NAMES_OF_VALUES = ChainLeg._fields
# What a leg is without when it lacks a field.
EMPTIED = {
    "openInterest": {"oi", "prev_oi"},
    "totalTradedVolume": {"volume"},
    "lastPrice": {"ltp", "prev_close"},
    "oi": {"oi"},
    "volume": {"volume"},
    "ltp": {"ltp"},
    "impliedVolatility": {"provider_iv"},
    "change": {"prev_close"},
    "changeinOpenInterest": {"prev_oi"},
    "totalBuyQuantity": {"total_buy_qty"},
    "totalSellQuantity": {"total_sell_qty"},
    "bidprice": {"bid"},
    "bidQty": {"bid_qty"},
    "askPrice": {"ask"},
    "askQty": {"ask_qty"},
    "close_price": {"prev_close"},
    "bid_price": {"bid"},
    "ask_price": {"ask"},
    "bid_qty": {"bid_qty"},
    "ask_qty": {"ask_qty"},
    "prev_oi": {"prev_oi"},
    "instrument_key": {"live_key"},
    # Without a volatility Upstox has computed none of the others.
    "iv": {f"provider_{greek}" for greek in UPSTOX_GREEKS},
    "option_greeks": {f"provider_{greek}" for greek in UPSTOX_GREEKS},
    **{greek: {f"provider_{greek}"} for greek in UPSTOX_GREEKS[1:]},
}
SAME = "same"
ASIDE = "aside"
REMARK = "remark"
# Refused by whatever name.
NOTICED = "noticed"
# A side that is given as missing, which is no reason to reject anything.
FEWER = "fewer"
# A row that is not a row is rejected, and no leg with it.
ROW_ASIDE = "row aside"
UNIT = FailureKind.UNIT_CHANGED


@pytest.fixture(scope="module")
def bodies(shared_data: Path) -> dict[str, bytes]:
    return {name: body(shared_data, file) for name, file in CAPTURES.items()}


@pytest.fixture(scope="module")
def truths(bodies: dict[str, bytes]) -> dict[str, ParsedChains]:
    return {name: read(orjson.loads(text)) for name, text in bodies.items()}


def read(document: Any) -> ParsedChains:
    return read_document(CapturedDocument("damaged", None, document))


@dataclass(frozen=True)
class Outcome:
    """What became of a damaged body: a kind, or how its legs differ from the true ones."""

    kind: FailureKind | None = None
    message: str = ""
    given: ParsedChains | None = None
    missing: int = 0
    emptied: tuple[str, ...] = ()


def legs_of(given: ParsedChains) -> dict[tuple[Any, ...], ChainLeg]:
    return {(chain.expiry, *leg.key): leg for chain in given.chains for leg in chain.legs}


def outcome_of(damaged: Any, truth: ParsedChains) -> Outcome:
    """Raises AssertionError when anything comes through that is not true."""
    try:
        given = read(damaged)
    except ChainError as refused:
        return Outcome(kind=refused.kind, message=str(refused))
    true_legs, legs = legs_of(truth), legs_of(given)
    assert legs.keys() <= true_legs.keys(), "legs that are not there"
    emptied = []
    for key, leg in legs.items():
        for name in NAMES_OF_VALUES:
            value, true = getattr(leg, name), getattr(true_legs[key], name)
            if value == true:
                continue
            assert value is None, f"{key} {name}: {value}, not {true}"
            emptied.append(name)
    assert_true_of_chains(given.chains, truth.chains[0])
    for chain in given.chains:
        keys = [leg.key for leg in chain.legs]
        assert keys == sorted(keys)
    message = " | ".join([*given.remarks, *(row.reason for row in given.rejected)])
    return Outcome(
        message=message, given=given, missing=len(true_legs) - len(legs), emptied=tuple(emptied)
    )


def assert_true_of_chains(chains: tuple[Chain, ...], truth: Chain) -> None:
    for chain in chains:
        assert chain.underlying == truth.underlying
        assert chain.spot in {truth.spot, None}
        assert chain.exchange_time in {truth.exchange_time, None}


def check(
    name: str,
    damage: Damage,
    expected: str | FailureKind,
    naming: str,
    bodies: dict[str, bytes],
    truths: dict[str, ParsedChains],
) -> None:
    shape = name.partition(":")[0]
    damaged = orjson.loads(bodies[shape])
    instead = damage(damaged)
    damaged = damaged if instead is None else instead
    # Compared as text, in which 780 and 780.0 are two things.
    assert repr(damaged) != repr(orjson.loads(bodies[shape])), "nothing was damaged"

    outcome = outcome_of(damaged, truths[shape])

    if expected == NOTICED:
        assert outcome.kind is not None
    elif isinstance(expected, FailureKind):
        assert outcome.kind is expected, outcome.message
    else:
        assert outcome.given is not None, outcome.message
        if expected == SAME:
            assert (outcome.missing, outcome.emptied) == (0, ())
        elif expected == ASIDE:
            # One reason stands for both legs of a row.
            assert 0 < outcome.missing <= 2 * len(outcome.given.rejected)
        elif expected == ROW_ASIDE:
            assert (outcome.missing, bool(outcome.given.rejected)) == (0, True)
        elif expected == FEWER:
            assert (outcome.missing, outcome.given.rejected) == (1, ())
        else:
            assert outcome.missing == 0
            assert outcome.given.remarks
            assert set(outcome.emptied) <= EMPTIED.get(naming, set())
    assert naming.lower() in outcome.message.lower()


Case = tuple[str, Damage, str | FailureKind, str]
CASES: list[Case] = []


def five_more(strike: float) -> float:
    return strike + 5


def renamed_if_there(field: str, row: Leg) -> None:
    if field in row:
        row[f"{field}New"] = row.pop(field)


def times(factor: float) -> Callable[[Leg, str], None]:
    return changed(lambda number: number * factor)


def case(
    shape: Shape, what: str, damage: Damage, expected: str | FailureKind, naming: str = ""
) -> None:
    CASES.append((f"{shape.name}:{what}", damage, expected, naming))


TYPES = {"text", "thousands", "list", "object", "truth"}
CHANGES = {"change", "changeinOpenInterest"}
SIGNED = {*CHANGES, "delta", "theta"}


def in_all_legs(how: str, needed: bool) -> str | FailureKind:
    if how in {"renamed", "removed"}:
        return FailureKind.RENAMED_FIELD if needed else REMARK
    if how == "null":
        return FailureKind.RETYPED_FIELD if needed else REMARK
    return FailureKind.RETYPED_FIELD if how in TYPES else FailureKind.UNIT_CHANGED


def numbers_of(shape: Shape) -> list[tuple[str, bool]]:
    if shape is UPSTOX:
        needed, others = UPSTOX_NEEDED, (*UPSTOX_OTHERS, *UPSTOX_GREEKS)
    else:
        book = BOOK_V3 if shape is V3 else BOOK_LEGACY
        needed, others = NSE_NEEDED, (*NSE_OTHERS, *book)
    return [*((name, True) for name in needed), *((name, False) for name in others)]


def damage_numbers() -> None:
    """Each number of a leg, in all legs and in one."""
    for shape in (V3, LEGACY, UPSTOX):
        for field, needed in numbers_of(shape):
            for how, change in FIELD_DAMAGES.items():
                if how == "negative" and field in SIGNED:
                    continue
                called = CALLED.get(field, field)
                case(
                    shape,
                    f"{field} {how} in all legs",
                    of_all_legs(shape, field, change),
                    in_all_legs(how, needed),
                    called,
                )
                if shape is LEGACY:
                    continue
                case(
                    shape,
                    f"{field} {how} in one leg",
                    of_one_leg(shape, field, change),
                    REMARK,
                    called,
                )
            if field not in WHOLE:
                case(
                    shape,
                    f"{field} as text of the same number",
                    of_all_legs(shape, field, changed(str)),
                    SAME,
                )
            else:
                case(
                    shape,
                    f"{field} with a decimal point",
                    of_all_legs(shape, field, changed(float)),
                    SAME,
                )


NSE_COUNTS = ("openInterest", "changeinOpenInterest")
UPSTOX_COUNTS = ("oi", "prev_oi")
LOT = {V3: 65, LEGACY: 500, UPSTOX: 25}


def damage_units_and_sides() -> None:
    """What the numbers mean: units, and which number stands where."""
    for shape in (V3, LEGACY, UPSTOX):
        volatility = "iv" if shape is UPSTOX else "impliedVolatility"
        counts = UPSTOX_COUNTS if shape is UPSTOX else NSE_COUNTS
        traded = ("volume",) if shape is UPSTOX else ("totalTradedVolume",)
        other_unit = 1 / LOT[shape] if shape is UPSTOX else LOT[shape]
        case(shape, "prices in paise", every_price(shape, 100), FailureKind.UNIT_CHANGED)
        case(shape, "prices in hundreds", every_price(shape, 0.01), FailureKind.UNIT_CHANGED)
        case(
            shape,
            "open interest in the other unit",
            every_count(shape, counts, other_unit),
            UNIT,
            counts[0],
        )
        case(
            shape,
            "volume in the other unit",
            every_count(shape, traded, other_unit),
            UNIT,
            "volume",
        )
        case(
            shape,
            "volatility as a fraction",
            of_all_legs(shape, volatility, changed(lambda percent: percent / 100)),
            UNIT,
            volatility,
        )
        case(
            shape,
            "volatility a hundredfold",
            of_all_legs(shape, volatility, changed(lambda percent: percent * 100)),
            UNIT,
            volatility,
        )
        case(shape, "strikes in paise", every_strike(shape, 100), NOTICED)
        case(shape, "strikes a hundredth", every_strike(shape, 0.01), NOTICED)
        case(shape, "calls for puts", of_all_rows(shape, sides_swapped(shape)), NOTICED)
        case(shape, "calls for puts by name", of_all_rows(shape, numbers_swapped(shape)), NOTICED)
        case(shape, "calls for puts in one row", of_middle_row(shape, sides_swapped(shape)), ASIDE)
        case(
            shape,
            "calls for puts in one row by name",
            of_middle_row(shape, numbers_swapped(shape)),
            # The totals of NSE do not fit any more; Upstox has the sign of delta.
            ASIDE if shape is UPSTOX else FailureKind.CONTRADICTION,
        )
        for field in ("bid_price", "ask_price", "close_price") if shape is UPSTOX else ():
            for factor in (100, 0.01):
                case(
                    shape,
                    f"{field} times {factor}",
                    of_all_legs(shape, field, times(factor)),
                    UNIT,
                    field,
                )


def damage_identities() -> None:
    """Whose numbers they are: strikes, expiries, names."""
    for shape in (V3, LEGACY):
        for field in NSE_IDENTITY:
            for how in ("renamed", "removed", "null"):
                change = FIELD_DAMAGES[how]
                case(
                    shape,
                    f"{field} {how} in all legs",
                    of_all_legs(shape, field, change),
                    REMARK,
                    field,
                )
                case(
                    shape,
                    f"{field} {how} in one leg",
                    of_one_leg(shape, field, change),
                    REMARK,
                    field,
                )
        for field, wrong in (
            ("strikePrice", 1),
            ("strikePrice", "n/a"),
            ("strikePrice", [1]),
            ("strikePrice", float("nan")),
            ("strikePrice", -1),
            ("strikePrice", 0),
            ("expiryDate", "30-02-2026"),
            ("expiryDate", "01-01-2026"),
            ("expiryDate", "soon"),
            ("expiryDate", 1782172800000),
            ("expiryDate", ["23-06-2026"]),
            ("underlying", "BANKNIFTY"),
            ("underlying", 26000),
            ("underlying", {}),
            ("identifier", "OPTIDXBANKNIFTY23-06-2026CE24000.00"),
            ("identifier", "OPTIDXNIFTY23-06-2026CE1.00"),
            ("identifier", "OPTIDXNIFTY30-06-2026CE24000.00"),
        ):
            called = f"{field} {wrong}"
            change = replaced(wrong)
            case(shape, f"{called} in all legs", of_all_legs(shape, field, change), NOTICED)
            case(shape, f"{called} in one leg", of_one_leg(shape, field, change), ASIDE, field)
        for how, change in (("a number", replaced(4711)), ("unreadable", replaced("OPT-7"))):
            case(
                shape,
                f"identifier {how}",
                of_all_legs(shape, "identifier", change),
                REMARK,
                "identifier",
            )
        for name, field in (("strike", shape.strike), ("expiry", shape.expiry)):
            for how in ("renamed", "removed", "null"):
                change = partial(FIELD_DAMAGES[how], field=field)
                expected = REMARK if how == "renamed" else SAME
                case(shape, f"{name} of rows {how}", of_all_rows(shape, change), expected)
                case(shape, f"{name} of one row {how}", of_middle_row(shape, change), expected)
            for how in ("text", "list", "nan", "negative", "truth"):
                change = partial(FIELD_DAMAGES[how], field=field)
                case(
                    shape,
                    f"{name} of rows {how}",
                    of_all_rows(shape, change),
                    FailureKind.RETYPED_FIELD,
                )
                case(shape, f"{name} of one row {how}", of_middle_row(shape, change), ASIDE)
        case(
            shape,
            "one row under another strike",
            of_middle_row(shape, partial(changed(five_more), field=shape.strike)),
            ASIDE,
        )
        case(
            shape,
            "all rows under other strikes",
            of_all_rows(shape, partial(changed(five_more), field=shape.strike)),
            NOTICED,
        )
        case(
            shape,
            "expiry of rows in a list",
            of_all_rows(shape, partial(changed(lambda day: [day]), field=shape.expiry)),
            SAME,
        )

    for name, field in (("strike", "strike_price"), ("expiry", "expiry")):
        for how, change_of in FIELD_DAMAGES.items():
            if how in {"huge", "infinite"}:
                continue
            change = partial(change_of, field=field)
            case(UPSTOX, f"{name} of rows {how}", of_all_rows(UPSTOX, change), NOTICED)
            case(UPSTOX, f"{name} of one row {how}", of_middle_row(UPSTOX, change), ASIDE)
    case(
        UPSTOX,
        "one row of another underlying",
        of_middle_row(UPSTOX, partial(replaced("NSE_INDEX|Nifty Bank"), field="underlying_key")),
        ASIDE,
    )
    for how in ("renamed", "removed", "null", "text", "list"):
        change = partial(FIELD_DAMAGES[how], field="underlying_key")
        case(UPSTOX, f"underlying_key {how}", of_all_rows(UPSTOX, change), NOTICED)
    for how in ("renamed", "removed", "null"):
        change = FIELD_DAMAGES[how]
        all_legs, one_leg = (
            of(UPSTOX, "instrument_key", change) for of in (of_all_legs, of_one_leg)
        )
        case(UPSTOX, f"instrument_key {how} in all legs", all_legs, REMARK, "instrument_key")
        case(UPSTOX, f"instrument_key {how} in one leg", one_leg, REMARK, "instrument_key")
    for wrong in ("n/a", 44330, ["NSE_FO|1"], "NSE_FO|"):
        change = replaced(wrong)
        all_legs, one_leg = (
            of(UPSTOX, "instrument_key", change) for of in (of_all_legs, of_one_leg)
        )
        case(UPSTOX, f"instrument_key {wrong} in all legs", all_legs, FailureKind.RETYPED_FIELD)
        case(UPSTOX, f"instrument_key {wrong} in one leg", one_leg, ASIDE)
    case(
        UPSTOX,
        "one instrument_key for all legs",
        of_all_legs(UPSTOX, "instrument_key", replaced("NSE_FO|1")),
        FailureKind.CONTRADICTION,
    )
    for part in ("market_data", "option_greeks"):
        for how in ("renamed", "removed", "null", "text", "list"):
            change = FIELD_DAMAGES[how]
            all_legs, one_leg = (of(UPSTOX, part, change) for of in (of_all_legs, of_one_leg))
            optional = part == "option_greeks" and how in {"renamed", "removed", "null"}
            costs = REMARK if part == "option_greeks" else ASIDE
            case(
                UPSTOX, f"{part} {how} in all legs", all_legs, REMARK if optional else NOTICED, part
            )
            case(UPSTOX, f"{part} {how} in one leg", one_leg, costs, part)


FORMS = ("%d-%b-%Y", "%d-%m-%Y", "%Y-%m-%d")
AS_CAPTURED = {
    V3: {("%d-%b-%Y", "%d-%m-%Y")},
    LEGACY: {("%d-%b-%Y", "%d-%b-%Y")},
    # Its legs have no date of their own.
    UPSTOX: {(of_row, of_leg) for of_row in FORMS for of_leg in FORMS[1:]}
    | {("%Y-%m-%d", "%d-%b-%Y")},
}


def damage_rows() -> None:
    """Their order, their dates, missing sides, repeated rows."""
    for shape in (V3, LEGACY, UPSTOX):
        case(shape, "rows shuffled", reordered(shape, random.Random(7).shuffle), SAME)
        case(shape, "rows backwards", reordered(shape, list.reverse), SAME)
        case(shape, "all rows twice", reordered(shape, twice), SAME)
        case(shape, "a row without one side", on_one_side(shape, lambda _: None), FEWER)
        case(
            shape,
            "a side that is null",
            of_middle_row(shape, partial(replaced(None), field=shape.sides[0])),
            FEWER,
        )
        case(shape, "a placeholder for one side", on_one_side(shape, placeholder), FEWER)
        case(shape, "an empty object for one side", on_one_side(shape, lambda _: {}), FEWER)
        for what, wrong in (("text", "n/a"), ("a list", [1]), ("a number", 7), ("truth", True)):
            case(shape, f"{what} for one side", on_one_side(shape, lambda _, by=wrong: by), ASIDE)
            case(shape, f"{what} for a row", with_stray_row(shape, wrong), ROW_ASIDE)
        case(shape, "null for a row", with_stray_row(shape, None), ROW_ASIDE)
        case(
            shape, "an empty row", with_stray_row(shape, {}), ROW_ASIDE if shape is UPSTOX else SAME
        )
        for side in shape.sides:
            case(
                shape,
                f"{side} renamed",
                of_all_rows(shape, partial(renamed_if_there, side)),
                FailureKind.RENAMED_FIELD,
                side,
            )
        case(shape, "one row told twice", with_another_row(shape, lambda _: None), SAME)
        case(
            shape,
            "one row several rows that contradict each other",
            with_another_row(shape, lambda row, side=shape.sides[0]: busier(row[side])),
            ASIDE,
        )
        for of_row in FORMS:
            for of_leg in FORMS:
                if (of_row, of_leg) not in AS_CAPTURED[shape]:
                    case(shape, f"dates {of_row} {of_leg}", dated(shape, of_row, of_leg), SAME)
        case(shape, "strikes as text", in_every_strike(shape, str), SAME)
        case(shape, "strikes with paise as text", in_every_strike(shape, "{:.2f}".format), SAME)
        case(shape, "strikes with a decimal point", in_every_strike(shape, float), SAME)
        case(
            shape,
            "a new member in all legs",
            of_all_legs(shape, "lotSize", replaced(65)),
            REMARK,
            "lotSize",
        )

    for shape in (V3, LEGACY):
        case(shape, "names of legs in lower case", in_names_of_legs(shape, str.lower), SAME)
        case(shape, "names of legs in upper case", in_names_of_legs(shape, str.upper), SAME)
        for spelling in ("PChange", "pchange", "percentChange"):
            format_expiry = in_names_of_legs(
                shape, lambda name, by=spelling: by if name.lower() == "pchange" else name
            )
            if (shape, spelling) != (V3, "PChange"):
                case(shape, f"pChange spelt {spelling}", format_expiry, SAME)


STAMP = {V3: "2026-06-19 15:30:00", LEGACY: "2025-07-17 15:30:00"}
ERROR = {"status": "error", "errors": [{"errorCode": "UDAPI100050", "message": "Invalid token"}]}
CONTRACTS = {
    "status": "success",
    "data": [{"instrument_key": "NSE_FO|1", "trading_symbol": "NIFTY 27000 CE 29 DEC 26"}],
}


def both(first: Damage, second: Damage) -> Damage:
    def damage(body: Any) -> None:
        first(body)
        second(body)

    return damage


def spot_or_ratio(name: str, how: str) -> str:
    """The ratio is not needed; without the spot the chain has none, and a remark."""
    return SAME if name.startswith("pcr") else REMARK


def damage_bodies() -> None:
    """What stands beside the rows, and bodies that hold none."""
    for shape in (V3, LEGACY):
        case(shape, "filtered removed", member("filtered", removed), SAME)
        case(shape, "filtered null", member("filtered", replaced(None)), SAME)
        case(shape, "filtered a list", member("filtered", replaced([])), SAME)
        case(shape, "filtered without rows", member("filtered.data", replaced([])), SAME)
        case(shape, "filtered without totals", member("filtered.CE", removed), SAME)
        for total in ("totOI", "totVol"):
            wrong = member(f"filtered.PE.{total}", changed(five_more))
            # Where rows have one side only, what is missing may be in the total.
            expected = FailureKind.CONTRADICTION if shape is V3 else REMARK
            case(shape, f"{total} that is no sum", wrong, expected, total)
            less = member(f"filtered.PE.{total}", changed(lambda number: number - 5))
            case(shape, f"{total} that is too small", less, FailureKind.CONTRADICTION, total)
        for how, change in FIELD_DAMAGES.items():
            for beside in ("timestamp", "underlyingValue"):
                damage = member(f"records.{beside}", change)
                case(shape, f"{beside} {how}", damage, REMARK, beside)
            if how != "renamed":
                gone = how == "removed"
                kind = FailureKind.RENAMED_FIELD if gone else FailureKind.RETYPED_FIELD
                case(shape, f"rows {how}", member("records.data", change), kind)
        case(
            shape,
            "rows renamed",
            member("records.data", renamed),
            FailureKind.RENAMED_FIELD,
            "data",
        )
        for beside in ("expiryDates", "strikePrices"):
            case(shape, f"{beside} removed", member(f"records.{beside}", removed), SAME)
        case(
            shape,
            "timestamp in ISO form",
            member("records.timestamp", replaced(STAMP[shape])),
            SAME,
        )
        for wrong in (0, -24013.1):
            damage = member("records.underlyingValue", replaced(wrong))
            case(shape, f"underlyingValue {wrong}", damage, REMARK, "underlyingValue")
        for factor in (100, 0.01):
            damage = member("records.underlyingValue", times(factor))
            case(shape, f"underlyingValue times {factor}", damage, FailureKind.CONTRADICTION)
            damage = both(damage, of_all_legs(shape, "underlyingValue", times(factor)))
            case(shape, f"all underlyingValue times {factor}", damage, UNIT)
        case(
            shape,
            "underlyingValue nowhere",
            both(
                member("records.underlyingValue", removed),
                of_all_legs(shape, "underlyingValue", removed),
            ),
            REMARK,
            "underlyingValue",
        )
        case(shape, "records at the top", lambda body: body["records"], SAME)
        case(
            shape,
            "records and filtered at the top",
            lambda body: {**body.pop("records"), **body},
            SAME,
        )
        case(shape, "rows without a body", lambda body: body["records"]["data"], REMARK)
        case(shape, "records renamed", member("records", renamed), NOTICED)
        case(shape, "records empty", member("records", replaced({})), NOTICED)
        case(shape, "records null", member("records", replaced(None)), NOTICED)
        case(shape, "records a list", member("records", replaced([])), NOTICED)

    for how, change in FIELD_DAMAGES.items():
        for name, damage in (
            ("spot of rows", of_all_rows(UPSTOX, partial(change, field="underlying_spot_price"))),
            ("pcr of rows", of_all_rows(UPSTOX, partial(change, field="pcr"))),
        ):
            case(UPSTOX, f"{name} {how}", damage, spot_or_ratio(name, how))
    for factor in (100, 0.01):
        damage = of_all_rows(UPSTOX, partial(times(factor), field="underlying_spot_price"))
        case(UPSTOX, f"spot times {factor}", damage, UNIT)
    damage = of_one_leg(UPSTOX, "oi", times(10))
    case(UPSTOX, "oi of one leg tenfold", damage, REMARK, "oi")
    case(UPSTOX, "rows without a body", lambda body: body["data"], SAME)
    case(UPSTOX, "status error", instead(ERROR), FailureKind.REFUSED)
    case(UPSTOX, "contracts", instead(CONTRACTS), FailureKind.NOT_A_CHAIN)
    case(
        UPSTOX,
        "candles",
        instead({"status": "success", "data": {"candles": []}}),
        FailureKind.NOT_A_CHAIN,
    )

    for shape in (V3, LEGACY, UPSTOX):
        for what, by, kind in (
            ("an empty object", {}, FailureKind.EMPTY_OBJECT),
            ("an empty list", [], FailureKind.EMPTY_LIST),
            ("no rows", {"data": []}, FailureKind.EMPTY_LIST),
            ("a number", 7, FailureKind.NOT_A_CHAIN),
            ("a text", "busy", FailureKind.NOT_A_CHAIN),
            ("rows of numbers", [1, 2], FailureKind.NOT_A_CHAIN),
            ("nothing", b"", FailureKind.EMPTY_BODY),
            ("blanks", b" \n ", FailureKind.EMPTY_BODY),
            (
                "a page",
                b"<!DOCTYPE html><html><title>Access Denied</title></html>",
                FailureKind.HTML,
            ),
            ("a page in a byte order mark", b"\xef\xbb\xbf<html></html>", FailureKind.HTML),
            ("brotli", bytes(range(128, 255)), FailureKind.NOT_JSON),
            ("words", b"Service Unavailable", FailureKind.NOT_JSON),
        ):
            case(shape, f"{what} instead", instead(by), kind)
        for share in (1, 25, 50, 90, 99):
            cut = text_of(lambda text, part=share: text[: len(text) * part // 100])
            case(shape, f"cut after {share} percent", cut, FailureKind.NOT_JSON)
        case(shape, "one byte short", text_of(lambda text: text[:-1]), FailureKind.NOT_JSON)
        case(shape, "two bodies in one", text_of(lambda text: text + text), FailureKind.NOT_JSON)


damage_numbers()
damage_units_and_sides()
damage_identities()
damage_rows()
damage_bodies()


@pytest.mark.parametrize(
    ("name", "damage", "expected", "naming"), [pytest.param(*each, id=each[0]) for each in CASES]
)
def test_damage(
    name: str,
    damage: Damage,
    expected: str | FailureKind,
    naming: str,
    bodies: dict[str, bytes],
    truths: dict[str, ParsedChains],
) -> None:
    check(name, damage, expected, naming, bodies, truths)


def test_the_names_of_the_damages_are_their_own() -> None:
    names = [name for name, *_ in CASES]
    assert len(names) == len(set(names)) >= 200
