"""What clients of streams send, checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from data_fetch.core.chains.contract_names import Contract, contract_of
from data_fetch.publishing.stream_hub import Since
from data_fetch.publishing.stream_messages import GENERAL, chain_room, product_room, tick_room

LONGEST_SYMBOL = 64
ROOMS = {"product": product_room, "chain": chain_room, "ticks": tick_room}
# An option has rooms of its own of these kinds.
OF_CONTRACTS = {"ticks"}
EXAMPLE = '{"type": "product", "symbol": "NIFTY"}'
WHOLE_EXAMPLE = f'{{"event": "subscribe", "data": {EXAMPLE}}}'


class Rejected(Exception):
    """A message of a client that is not served: a stable *code*, a sentence, near symbols."""

    def __init__(self, code: str, message: str, near: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.near = tuple(near)

    def document(self) -> dict[str, Any]:
        return {"message": self.message, "code": self.code, "near": list(self.near)}


@dataclass(frozen=True, slots=True)
class RoomRequest:
    """A room that a client names: its *kind*, and the *symbol* of its product as written; none
    for `general`. *contract* is what the symbol names where a room may be of an option. *since* is
    the last update that the client has."""

    kind: str
    symbol: str | None
    since: Since | None
    contract: Contract | None = None

    @property
    def named_room(self) -> str | None:
        """The room that is named by the present symbol, if that is how it is written."""
        if self.symbol is None:
            return None
        return self.room(self.symbol if self.contract is None else self.contract.name)

    def room(self, symbol: str) -> str:
        """The name of the room, with the present symbol of the product or contract."""
        return ROOMS[self.kind](symbol)


def sent_event(text: str | None) -> tuple[object, Any]:
    """The event in a message of a plain WebSocket, and its data. Raises Rejected; None stands
    for a binary message."""
    if text is None:
        raise Rejected("not_text", f"Send a text like {WHOLE_EXAMPLE}.")
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Rejected("not_json", f"Send a text like {WHOLE_EXAMPLE}.") from None
    if not isinstance(document, dict):
        raise Rejected("not_an_object", f"Send a text like {WHOLE_EXAMPLE}.")
    return document.get("event"), document.get("data")


def room_request(given: Any) -> RoomRequest:
    """The request in a `subscribe` or `unsubscribe`. Raises Rejected."""
    if not isinstance(given, Mapping):
        raise Rejected("not_an_object", f"Send an object like {EXAMPLE}.")
    kind, symbol = given.get("type"), given.get("symbol")
    if kind == GENERAL:
        return RoomRequest(GENERAL, None, _since(given))
    if not isinstance(kind, str) or kind not in ROOMS:
        raise Rejected(
            "unknown_type", f"`type` is product, chain, ticks or general, as in {EXAMPLE}."
        )
    if not isinstance(symbol, str) or not symbol.strip():
        raise Rejected("missing_symbol", f"`symbol` is a text, as in {EXAMPLE}.")
    if len(symbol) > LONGEST_SYMBOL:
        raise Rejected("unknown_symbol", f"A symbol has at most {LONGEST_SYMBOL} letters.")
    contract = contract_of(symbol) if kind in OF_CONTRACTS else None
    return RoomRequest(kind, symbol, _since(given), contract)


def _since(given: Mapping[str, Any]) -> Since | None:
    seq, stream = given.get("since"), given.get("stream")
    if seq is None:
        return None
    if type(seq) is not int or seq < 0:
        raise Rejected("bad_since", "`since` is the `seq` of the last update that you have.")
    if stream is not None and not isinstance(stream, str):
        raise Rejected("bad_since", "`stream` is the text that came with that `seq`.")
    return Since(seq, stream)
