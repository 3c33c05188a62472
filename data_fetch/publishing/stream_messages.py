"""What is streamed: updates as their sources make them, and messages as clients receive them.

An update is a value of one key at an instant: the price or tick of a product, the tick of an
option, the chain of an expiry. The hub numbers it and makes a message of it; each format of a
message is encoded once for all clients.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

# Whose newer value replaces an older one that waits: the topic, the product, the expiry.
Key = tuple[str, ...]

GENERAL = "general"
CHAIN_ROOMS, TICK_ROOMS = "chain:", "ticks:"
PRICE, CHAIN, SUMMARY = "price", "chain", "summary"
TICK, OPTION_TICK = "tick", "option_tick"


def product_room(product: str) -> str:
    return f"product:{product}"


def chain_room(product: str) -> str:
    return f"{CHAIN_ROOMS}{product}"


def tick_room(symbol: str) -> str:
    """Of a product, or of an option contract by its name."""
    return f"{TICK_ROOMS}{symbol}"


def is_tick_room(name: str) -> bool:
    return name.startswith(TICK_ROOMS)


def is_chain_room(name: str) -> bool:
    return name.startswith(CHAIN_ROOMS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A value of *key*, as it was at the instant *at*, for the members of *room*.

    *document* has at least one member. One that is large comes as the JSON of it.
    """

    event: str
    key: Key
    room: str
    at: datetime
    document: Mapping[str, Any] | orjson.Fragment

    @property
    def product(self) -> str:
        return self.key[1]

    def body(self) -> bytes:
        """The document as a JSON object."""
        return orjson.dumps(self.document)


# Encodes a message for one kind of client.
Format = Callable[["Message"], Any]


@dataclass(eq=False, slots=True)
class Message:
    """An *event* and its *body* (a JSON object), on the way to clients.

    Of two with one *key* that wait for a client only the newer is sent; those without a key are
    all sent. *room* and *seq* are None for what is no update.
    """

    event: str
    body: bytes
    key: Key | None = None
    room: str | None = None
    seq: int | None = None
    size: int = field(init=False)
    _encoded: dict[Format, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.size = len(self.body)

    def encoded(self, by: Format) -> Any:
        """The message as *by* encodes it; computed once."""
        found = self._encoded.get(by)
        if found is None:
            found = self._encoded[by] = by(self)
        return found

    def forget_encoded(self) -> None:
        """Give back the memory of its encoded forms; they can be computed again."""
        self._encoded.clear()


def message(event: str, document: Mapping[str, Any], key: Key | None = None) -> Message:
    """A message to one client that is no update."""
    return Message(event, orjson.dumps(document), key)
