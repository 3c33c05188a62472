"""Ways to damage a captured option-chain body, each with a name."""

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

# A parsed body, damaged in place; what is returned, if anything, takes its place.
Damage = Callable[[Any], Any]
Leg = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    """Where a provider keeps things. *members* leads from a leg to the dict of a field."""

    name: str
    rows: Callable[[Any], list[Any]]
    sides: tuple[str, str]
    strike: str
    expiry: str

    def rows_of_chain(self, body: Any) -> list[Any]:
        """Where the rows are, without those that are repeated elsewhere."""
        rows: list[Any] = body.get("records", body)["data"]
        return rows

    def legs(self, body: Any) -> Iterator[tuple[str, Leg]]:
        for row in self.rows(body):
            for side in self.sides:
                if side in row:
                    yield side, row[side]


def nse_rows(body: Any) -> list[Any]:
    """All rows, those included that `filtered` repeats."""
    return [*body["records"]["data"], *body["filtered"]["data"]]


V3 = Shape("v3", nse_rows, ("CE", "PE"), "strikePrice", "expiryDates")
LEGACY = Shape("legacy", nse_rows, ("CE", "PE"), "strikePrice", "expiryDate")
UPSTOX = Shape(
    "upstox",
    lambda body: body["data"],
    ("call_options", "put_options"),
    "strike_price",
    "expiry",
)

NSE_NEEDED = ("openInterest", "totalTradedVolume", "lastPrice")
NSE_IDENTITY = ("strikePrice", "expiryDate", "underlying", "identifier")
NSE_OTHERS = (
    "impliedVolatility",
    "change",
    "changeinOpenInterest",
    "totalBuyQuantity",
    "totalSellQuantity",
)
BOOK_V3 = ("buyPrice1", "buyQuantity1", "sellPrice1", "sellQuantity1")
BOOK_LEGACY = ("bidprice", "bidQty", "askPrice", "askQty")
# What the reader calls a field of the book, whatever it was called in the body.
CALLED = dict(zip(BOOK_V3, BOOK_LEGACY, strict=True))
UPSTOX_NEEDED = ("ltp", "volume", "oi")
UPSTOX_OTHERS = ("close_price", "bid_price", "bid_qty", "ask_price", "ask_qty", "prev_oi")
UPSTOX_GREEKS = ("iv", "delta", "gamma", "theta", "vega")
WHOLE = {
    *("buyQuantity1", "sellQuantity1", "bidQty", "askQty", "bid_qty", "ask_qty"),
    *("totalBuyQuantity", "totalSellQuantity"),
}


def place_of(leg: Leg, field: str) -> Leg:
    """The dict that holds *field* of a leg."""
    for part in ("market_data", "option_greeks"):
        if field in leg.get(part, {}):
            inner: Leg = leg[part]
            return inner
    return leg


def renamed(place: Leg, field: str) -> None:
    place[f"{field}New"] = place.pop(field)


def removed(place: Leg, field: str) -> None:
    del place[field]


def replaced(by: Any) -> Callable[[Leg, str], None]:
    def change(place: Leg, field: str) -> None:
        place[field] = by

    return change


def changed(how: Callable[[Any], Any]) -> Callable[[Leg, str], None]:
    def change(place: Leg, field: str) -> None:
        place[field] = how(place[field])

    return change


FIELD_DAMAGES: Mapping[str, Callable[[Leg, str], None]] = {
    "renamed": renamed,
    "removed": removed,
    "null": replaced(None),
    "text": replaced("n/a"),
    "thousands": replaced("1,234.50"),
    "list": replaced([1]),
    "object": replaced({"value": 1}),
    "truth": replaced(True),
    "nan": replaced(float("nan")),
    "infinite": replaced(float("inf")),
    "huge": replaced(1e30),
    "negative": replaced(-5.5),
}


def of_all_legs(shape: Shape, field: str, change: Callable[[Leg, str], None]) -> Damage:
    def damage(body: Any) -> None:
        for _, leg in shape.legs(body):
            change(place_of(leg, field), field)

    return damage


def of_one_leg(shape: Shape, field: str, change: Callable[[Leg, str], None]) -> Damage:
    """The busiest leg, so that none of its numbers is a 0 that could pass for none; wherever
    it is repeated."""

    def damage(body: Any) -> None:
        legs = [leg for _, leg in shape.legs(body)]
        busiest = deepcopy(max(legs, key=busyness))
        for leg in legs:
            if leg == busiest:
                change(place_of(leg, field), field)

    return damage


def busyness(leg: Leg) -> int:
    traded: int = leg["market_data"]["volume"] if "market_data" in leg else leg["totalTradedVolume"]
    return traded


def of_all_rows(shape: Shape, change: Callable[[Leg], None]) -> Damage:
    def damage(body: Any) -> None:
        for row in shape.rows(body):
            change(row)

    return damage


def of_middle_row(shape: Shape, change: Callable[[Leg], None]) -> Damage:
    """The row in the middle, wherever it is repeated."""

    def damage(body: Any) -> None:
        middle = deepcopy(middle_row(shape, body))
        for row in shape.rows(body):
            if row == middle:
                change(row)

    return damage


def middle_row(shape: Shape, body: Any) -> Leg:
    busiest = max((leg for _, leg in shape.legs(body)), key=busyness)
    return next(row for row in shape.rows(body) if busiest in row.values())


def instead(by: Any) -> Damage:
    """Another body altogether."""
    return lambda _: by


def text_of(change: Callable[[bytes], bytes]) -> Damage:
    """The bytes of the body rather than its contents."""
    return lambda body: change(orjson.dumps(body))


def every_price(shape: Shape, factor: float) -> Damage:
    """All prices in another unit, as a change of units would really come."""
    names = (
        ("ltp", "close_price", "bid_price", "ask_price")
        if shape is UPSTOX
        else ("lastPrice", "change", *(BOOK_V3 if shape is V3 else BOOK_LEGACY)[::2])
    )

    def damage(body: Any) -> None:
        for _, leg in shape.legs(body):
            for name in names:
                place_of(leg, name)[name] *= factor

    return damage


def every_count(shape: Shape, names: tuple[str, ...], factor: float) -> Damage:
    """Counts in another unit, NSE's own totals of them included."""

    def damage(body: Any) -> None:
        for _, leg in shape.legs(body):
            for name in names:
                place = place_of(leg, name)
                place[name] = scaled(place[name], factor)
        for total in body.get("filtered", {}).values():
            if isinstance(total, dict):
                for name in total:
                    total[name] = scaled(total[name], factor)

    return damage


def scaled(number: float, factor: float) -> float:
    product = number * factor
    return int(product) if float(product).is_integer() else product


def every_strike(shape: Shape, factor: float) -> Damage:
    """The strikes of rows and legs, but not those in the identifiers."""

    def damage(body: Any) -> None:
        for row in shape.rows(body):
            row[shape.strike] *= factor
        for _, leg in shape.legs(body):
            if "strikePrice" in leg:
                leg["strikePrice"] *= factor

    return damage


def sides_swapped(shape: Shape) -> Callable[[Leg], None]:
    first, second = shape.sides

    def change(row: Leg) -> None:
        legs = {first: row.pop(second, None), second: row.pop(first, None)}
        row.update({side: leg for side, leg in legs.items() if leg is not None})

    return change


def numbers_swapped(shape: Shape) -> Callable[[Leg], None]:
    """The legs keep their names and get each other's numbers."""
    first, second = shape.sides
    name = "instrument_key" if shape is UPSTOX else "identifier"

    def change(row: Leg) -> None:
        if first in row and second in row:
            row[first][name], row[second][name] = row[second][name], row[first][name]
            sides_swapped(shape)(row)

    return change


def placeholder(leg: Leg) -> Leg:
    """What stands where nothing is listed: every member is there, and nothing in it."""
    return {
        name: placeholder(value)
        if isinstance(value, dict)
        else 0
        if isinstance(value, int | float)
        else None
        for name, value in leg.items()
    }


def with_stray_row(shape: Shape, row: Any) -> Damage:
    def damage(body: Any) -> None:
        shape.rows_of_chain(body).append(row)

    return damage


def on_one_side(shape: Shape, change: Callable[[Leg], Any]) -> Damage:
    """The first side of the middle row becomes what *change* makes of it; None takes it out."""
    side = shape.sides[0]

    def of_row(row: Leg) -> None:
        leg = change(row[side])
        row[side] = leg
        if leg is None:
            del row[side]

    return of_middle_row(shape, of_row)


def with_another_row(shape: Shape, change: Callable[[Leg], None]) -> Damage:
    """A copy of the middle row, changed, behind all others."""

    def damage(body: Any) -> None:
        copy = deepcopy(middle_row(shape, body))
        change(copy)
        shape.rows_of_chain(body).append(copy)

    return damage


def reordered(shape: Shape, order: Callable[[list[Any]], None]) -> Damage:
    def damage(body: Any) -> None:
        for place in (body, body.get("records", {}), body.get("filtered", {})):
            if isinstance(place.get("data"), list):
                order(place["data"])

    return damage


def dated(shape: Shape, of_row: str, of_leg: str) -> Damage:
    """All dates written in other ways, as `strftime` has them."""

    def written(text: str, form: str) -> str:
        known = next(form for form in ("%d-%b-%Y", "%d-%m-%Y", "%Y-%m-%d") if _fits(text, form))
        return datetime.strptime(text, known).strftime(form)  # noqa: DTZ007

    def damage(body: Any) -> None:
        for row in shape.rows(body):
            row[shape.expiry] = written(row[shape.expiry], of_row)
        for _, leg in shape.legs(body):
            if "expiryDate" in leg:
                leg["expiryDate"] = written(leg["expiryDate"], of_leg)

    return damage


def _fits(text: str, form: str) -> bool:
    try:
        datetime.strptime(text, form)  # noqa: DTZ007
    except ValueError:
        return False
    return True


def member(path: str, change: Callable[[Leg, str], None]) -> Damage:
    """One member beside the rows: ``records.timestamp``."""
    *parents, name = path.split(".")

    def damage(body: Any) -> None:
        place = body
        for parent in parents:
            place = place[parent]
        change(place, name)

    return damage


def twice(rows: list[Any]) -> None:
    rows += deepcopy(rows)


def busier(leg: Leg) -> None:
    """Some trades later."""
    volume = "volume" if "market_data" in leg else "totalTradedVolume"
    place_of(leg, volume)[volume] += 7


def in_every_strike(shape: Shape, write: Callable[[Any], Any]) -> Damage:
    def damage(body: Any) -> None:
        for row in shape.rows(body):
            row[shape.strike] = write(row[shape.strike])
        for _, leg in shape.legs(body):
            if "strikePrice" in leg:
                leg["strikePrice"] = write(leg["strikePrice"])

    return damage


def in_names_of_legs(shape: Shape, write: Callable[[str], str]) -> Damage:
    """All members of the legs under other names."""

    def damage(body: Any) -> None:
        for _, leg in shape.legs(body):
            members = {write(name): value for name, value in leg.items()}
            leg.clear()
            leg.update(members)

    return damage
