"""What faults do to the data of an option chain, in Upstox's wire format and in NSE's."""

from collections.abc import Callable, Mapping
from typing import Any

from data_fetch.paper_exchange.faults.faults import Fault, Scene, Spoiler

# As Upstox names them, and as NSE does.
CALLS, PUTS = ("call_options", "CE"), ("put_options", "PE")
LEG_NAMES = frozenset({"instrument_key", "identifier"})
OI_IN_UNITS = frozenset({"oi", "prev_oi"})
OI_IN_CONTRACTS = frozenset({"openInterest", "changeinOpenInterest", "totOI"})
NEW_NAMES = {
    "ltp": "last_price",
    "oi": "open_interest",
    "lastPrice": "ltp",
    "openInterest": "oi",
}


def _in_chain(change: Callable[[list[Any]], list[Any]]) -> Spoiler:
    """Change the rows of a chain, which NSE tells twice: in its records and filtered."""

    def spoil(_: Fault, data: Any, __: Scene) -> Any:
        if isinstance(data, list):
            return change(data)
        return {part: {**held, "data": change(held["data"])} for part, held in data.items()}

    return spoil


def _without(*sides: str) -> Spoiler:
    return _in_chain(
        lambda rows: [
            {name: part for name, part in row.items() if name not in sides} for row in rows
        ]
    )


def _with_placeholders(rows: list[Any]) -> list[Any]:
    """In every other row the call stands there as if it had never been listed."""
    return [
        {
            name: _hollow(part) if number % 2 and name in CALLS else part
            for name, part in row.items()
        }
        for number, row in enumerate(rows)
    ]


def _hollow(leg: dict[str, Any]) -> dict[str, Any]:
    named = {name: part for name, part in leg.items() if name not in LEG_NAMES}
    hollow: dict[str, Any] = _each_field(lambda name, value: (name, _zero(value)), named)
    return hollow


def _zero(value: Any) -> Any:
    return 0 if isinstance(value, int | float) else value


def _each_field(change: Callable[[str, Any], tuple[str, Any]], node: Any) -> Any:
    """Change the name and value of every field, however deep it lies."""
    if isinstance(node, dict):
        return dict(change(name, _each_field(change, value)) for name, value in node.items())
    if isinstance(node, list):
        return [_each_field(change, value) for value in node]
    return node


def _renamed(_: Fault, data: Any, __: Scene) -> Any:
    return _each_field(lambda name, value: (NEW_NAMES.get(name, name), value), data)


def _retyped(_: Fault, data: Any, __: Scene) -> Any:
    """Numbers as a page shows them: `24,013.1`."""

    def shown(value: Any) -> Any:
        return f"{value:,}" if isinstance(value, int | float) else value

    return _each_field(lambda name, value: (name, shown(value)), data)


def _in_the_others_unit(_: Fault, data: Any, scene: Scene) -> Any:
    """Open interest in contracts where it was in units, and the other way round."""

    def changed(name: str, value: Any) -> tuple[str, Any]:
        if name in OI_IN_UNITS:
            return name, value / scene.lot
        return name, value * scene.lot if name in OI_IN_CONTRACTS else value

    return _each_field(changed, data)


# In this order: a number that is text has no unit any more, and a renamed one no name.
CHAIN_SPOILERS: Mapping[str, Spoiler] = {
    "missing-call": _without(*CALLS),
    "missing-put": _without(*PUTS),
    "placeholder-legs": _in_chain(_with_placeholders),
    "unit-changed": _in_the_others_unit,
    "retyped-fields": _retyped,
    "renamed-fields": _renamed,
}
