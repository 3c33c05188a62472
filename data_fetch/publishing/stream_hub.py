"""Sends updates to the clients of rooms. It knows no network: doors bring clients and carry bytes.

Each room numbers its updates (`seq`) and keeps those of the last minutes, so that a client that
comes back gets what it missed, or a snapshot. A client that does not read costs the others
nothing: what waits for it is bounded, and it is disconnected when it stays behind.

Ticks come several times a second, and a client that missed some wants the present one: their
rooms keep nothing but the newest value. Of most options it is of interest to no client: in a room
without members it waits as it came, and gets its number when a client comes. Contracts expire: a
room of ticks without members and without a tick for a day is removed.

`general` has numbers of its own for summaries; prices of its products it passes on from their
rooms, with the numbers of those, at most one a second.

Instants are seconds of a counter that never goes back; the caller reads it.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import uuid4

import orjson

from data_fetch.publishing.outbox import Outbox
from data_fetch.publishing.stream_messages import (
    CHAIN_ROOMS,
    GENERAL,
    Key,
    Message,
    Update,
    is_tick_room,
    message,
    product_room,
)
from data_fetch.publishing.throttle import Throttle

# A reconnecting client gets what it missed in this time.
RING_SECONDS = 300.0
RING_BYTES = 8 * 1024 * 1024
GENERAL_SECONDS = 1.0
BEHIND_SECONDS = 10.0
TICK_ROOM_SECONDS = 86_400.0
# Enough for two rooms of every underlying, about two hundred; each underlying has three, an option
# one.
MOST_ROOMS = 500

# Codes of closed connections, from the range for applications.
NOT_ADMITTED, TOO_SLOW, TOO_MUCH_WAITS = 4003, 4008, 4009
REASONS = {
    NOT_ADMITTED: "unauthenticated",
    TOO_SLOW: "too_slow",
    TOO_MUCH_WAITS: "too_much_waits",
}


@dataclass(eq=False)
class Client:
    """One connection through a *door*. *wake*: something waits in the outbox; *close*: the hub
    has dropped it, with a code."""

    door: str
    wake: Callable[[], None]
    close: Callable[[int], None]
    id: str = field(default_factory=lambda: uuid4().hex)
    outbox: Outbox = field(default_factory=Outbox)
    rooms: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Since:
    """The last number that a client has of a room, and the stream that it belongs to."""

    seq: int
    stream: str | None


@dataclass(frozen=True, slots=True)
class _Newest:
    at: datetime
    body: bytes
    message: Message


@dataclass(slots=True)
class _Room:
    name: str
    ring_seconds: float = RING_SECONDS
    seq: int = 0
    members: dict[Client, None] = field(default_factory=dict)
    newest: dict[Key, _Newest] = field(default_factory=dict)
    ring: deque[tuple[float, Message]] = field(default_factory=deque)
    ring_bytes: int = 0
    # The last number that is no longer in the ring.
    forgotten: int = 0
    wanted_at: float | None = None
    # The newest tick since the last member left.
    unsent: Update | None = None
    # When it had a member or a new value last.
    used_at: float = 0.0

    def has_news(self, update: Update) -> bool:
        """Whether *update* is neither older than what is known of its key nor the same."""
        if self.unsent is not None:
            return update.at >= self.unsent.at
        newest = self.newest.get(update.key)
        return (
            newest is None
            or update.at > newest.at
            or (update.at == newest.at and update.body() != newest.body)
        )

    def add(self, update: Update, as_of: str | None, now: float) -> Message:
        """Number *update* and keep it."""
        self.seq += 1
        self.used_at = now
        head = {"seq": self.seq, "room": self.name, "as_of": as_of}
        value = update.body()
        body = b"%b,%b" % (orjson.dumps(head)[:-1], value[1:])
        sent = Message(update.event, body, update.key, self.name, self.seq)
        replaced = self.newest.get(update.key)
        if replaced is not None:
            # It may stay in the ring, where few will ask for it.
            replaced.message.forget_encoded()
        self.newest[update.key] = _Newest(update.at, value, sent)
        self.ring.append((now, sent))
        self.ring_bytes += len(body)
        self.prune(now)
        return sent

    def prune(self, now: float) -> None:
        """Drop the oldest from the ring until its time and its bytes are within the limits."""
        first = now - self.ring_seconds
        while self.ring and (self.ring[0][0] < first or self.ring_bytes > RING_BYTES):
            _, dropped = self.ring.popleft()
            self.ring_bytes -= len(dropped.body)
            self.forgotten = dropped.seq or self.forgotten

    def missed(self, since: Since, stream: str) -> list[Message] | None:
        """The updates after *since*; None when some are not kept."""
        if since.stream != stream or not self.forgotten <= since.seq <= self.seq:
            return None
        # Each is sent, so none has a key by which a later one could replace it.
        return [
            replace(each, key=None)
            for _, each in self.ring
            if each.seq is not None and each.seq > since.seq
        ]

    def forget(self) -> None:
        """Drop all values. Numbers go on, with one of no update: nothing is numbered meanwhile, and
        who comes back with the last one has missed what that would have been."""
        self.newest.clear()
        self.ring.clear()
        self.ring_bytes = 0
        self.seq += 1
        self.forgotten = self.seq


class StreamHub:
    """The clients and rooms of one server. *present* is the market's present instant as text.

    *general* are the products whose prices and summaries the room `general` gets. *stream* names
    this hub: numbers of another one mean other updates.
    """

    def __init__(self, present: Callable[[], str | None]) -> None:
        self._present = present
        self.stream = uuid4().hex[:12]
        self.general: frozenset[str] = frozenset()
        self.clients: dict[Client, None] = {}
        self.closed: Counter[str] = Counter()
        self.delivered = 0
        self._conflated_before = 0
        self._rooms: dict[str, _Room] = {GENERAL: _Room(GENERAL)}
        self._samples: Throttle[Message] = Throttle(GENERAL_SECONDS)
        self._summaries: Throttle[Update] = Throttle(GENERAL_SECONDS)
        # The newest price of each product that `general` got: for those who come later.
        self._sampled: dict[str, Message] = {}
        self._woken: dict[Client, None] = {}

    # Clients

    def connect(self, client: Client, now: float) -> None:
        """Let *client* in: it is a member of `general` and gets its snapshot."""
        self.clients[client] = None
        self._enter(client, self._rooms[GENERAL])
        welcome = {
            "message": "Connected",
            "client_id": client.id,
            "rooms": [GENERAL],
            "stream": self.stream,
        }
        self.send(client, message("connected", welcome), now)
        self._send_all(client, self._snapshot(self._rooms[GENERAL], client), now)

    def disconnect(self, client: Client) -> None:
        """Forget *client*; nothing happens when it is not known."""
        if client not in self.clients:
            return
        del self.clients[client]
        self._woken.pop(client, None)
        self._conflated_before += client.outbox.conflated
        for name in client.rooms:
            self._rooms[name].members.pop(client, None)

    def join(self, client: Client, name: str, since: Since | None, now: float) -> None:
        """Make *client* a member of a room. It gets the updates after *since*, or, when they
        are not all kept, `resync` and the newest values; those too without *since*."""
        room = self._room(name)
        if room.unsent is not None:
            room.add(room.unsent, self._present(), now)
            room.unsent = None
        self._enter(client, room)
        room.used_at = now
        facts = {
            "room": name,
            "message": f"Subscribed to {name}",
            "seq": room.seq,
            "stream": self.stream,
        }
        self.send(client, message("subscribed", facts), now)
        missed = None if since is None else room.missed(since, self.stream)
        if since is not None and missed is None:
            reason = "another_stream" if since.stream != self.stream else "not_kept"
            facts = {"room": name, "reason": reason, "seq": room.seq, "stream": self.stream}
            self.send(client, message("resync", facts), now)
        self._send_all(client, self._snapshot(room, client) if missed is None else missed, now)

    def leave(self, client: Client, name: str, now: float) -> None:
        """End the membership of *client*."""
        client.rooms.discard(name)
        room = self._rooms.get(name)
        if room is not None:
            room.members.pop(client, None)
        facts = {"room": name, "message": f"Unsubscribed from {name}"}
        self.send(client, message("unsubscribed", facts), now)

    def send(self, client: Client, sent: Message, now: float) -> None:
        """Put *sent* into the outbox of *client*; drop the client when it does not fit."""
        if client not in self.clients:
            return
        if client.outbox.put(sent, now):
            self._woken[client] = None
        else:
            self.drop(client, TOO_MUCH_WAITS)

    def drop(self, client: Client, code: int) -> None:
        """Disconnect *client* with a code, and count it."""
        self.closed[REASONS[code]] += 1
        self.disconnect(client)
        client.outbox.clear()
        client.close(code)

    # Updates

    def wants(self, name: str) -> bool:
        """Whether the values of a room are kept: it has members, or had some minutes ago."""
        room = self._rooms.get(name)
        return room is not None and room.wanted_at is not None

    def followed_chains(self) -> set[str]:
        """The products whose option chains are kept."""
        return {
            name.removeprefix(CHAIN_ROOMS)
            for name, room in self._rooms.items()
            if room.wanted_at is not None and name.startswith(CHAIN_ROOMS)
        }

    def open(self, name: str, now: float) -> None:
        """Keep the values of a room from now on."""
        self._room(name).wanted_at = now

    def publish(self, update: Update, now: float) -> bool:
        """Send *update* to whom it concerns; False for one that is not news."""
        room = self._room(update.room)
        if not room.has_news(update):
            return False
        if is_tick_room(room.name) and not room.members:
            room.unsent, room.used_at = update, now
            return True
        if room.name == GENERAL:
            if self._summaries.passes(update.key, update, now):
                self._publish_general(update, now)
            return True
        sent = room.add(update, self._present(), now)
        self._deliver(room.members, sent, now)
        is_sampled = update.product in self.general and room.name == product_room(update.product)
        if is_sampled and self._samples.passes(update.key, sent, now):
            self._sample(sent, now)
        return True

    def tick(self, now: float) -> None:
        """What is due by time alone: held values of `general`, old values, slow clients."""
        for update in self._summaries.due(now):
            self._publish_general(update, now)
        for sent in self._samples.due(now):
            self._sample(sent, now)
        for room in list(self._rooms.values()):
            self._age(room, now)
        for client in list(self.clients):
            since = client.outbox.waiting_since()
            if since is not None and now - since >= BEHIND_SECONDS:
                self.drop(client, TOO_SLOW)

    def beat(self, document: Mapping[str, Any], now: float) -> None:
        """Send every client a heartbeat: *document* and the last number of each of its rooms but
        those of ticks."""
        head = {"as_of": self._present(), "stream": self.stream, **document}
        for client in list(self.clients):
            facts = {**head, "last_seq": self._last_seq(client)}
            self.send(client, message("heartbeat", facts, ("heartbeat",)), now)

    def woken(self) -> list[Client]:
        """The clients for whom something was put into the outbox since the last call."""
        woken = list(self._woken)
        self._woken.clear()
        return woken

    # Numbers for operators

    def rooms(self) -> dict[str, int]:
        """The rooms with members, and how many."""
        return {name: len(room.members) for name, room in self._rooms.items() if room.members}

    def doors(self) -> Counter[str]:
        """The number of clients by door."""
        return Counter(client.door for client in self.clients)

    def sequences(self) -> dict[str, int]:
        """The last number of each room that has one."""
        return {name: room.seq for name, room in self._rooms.items() if room.seq}

    @property
    def conflated(self) -> int:
        """How many values were replaced by newer ones before their client got them."""
        return self._conflated_before + sum(each.outbox.conflated for each in self.clients)

    @property
    def waiting(self) -> int:
        """How many messages wait in all outboxes."""
        return sum(len(each.outbox) for each in self.clients)

    @property
    def most_waiting(self) -> int:
        """How many messages wait in the fullest outbox."""
        return max((len(each.outbox) for each in self.clients), default=0)

    def _room(self, name: str) -> _Room:
        room = self._rooms.get(name)
        if room is None:
            seconds = 0.0 if is_tick_room(name) else RING_SECONDS
            room = self._rooms[name] = _Room(name, seconds)
        return room

    def _enter(self, client: Client, room: _Room) -> None:
        client.rooms.add(room.name)
        room.members[client] = None

    def _publish_general(self, update: Update, now: float) -> None:
        room = self._rooms[GENERAL]
        self._deliver(room.members, room.add(update, self._present(), now), now)

    def _sample(self, sent: Message, now: float) -> None:
        """Pass the price of a product on to `general`, but not to members of its own room: they
        have it."""
        assert sent.room is not None
        self._sampled[sent.room] = sent
        own = self._rooms[sent.room].members
        self._deliver(
            (client for client in self._rooms[GENERAL].members if client not in own), sent, now
        )

    def _deliver(self, to: Iterable[Client], sent: Message, now: float) -> None:
        # Most of the work of a server with many clients is here.
        members, woken = list(to), self._woken
        for client in members:
            if client.outbox.put(sent, now):
                woken[client] = None
            else:
                self.drop(client, TOO_MUCH_WAITS)
        self.delivered += len(members)

    def _send_all(self, client: Client, several: Iterable[Message], now: float) -> None:
        for each in several:
            self.send(client, each, now)

    def _snapshot(self, room: _Room, client: Client) -> list[Message]:
        """The newest values of *room*, by number."""
        values = sorted(
            (each.message for each in room.newest.values()), key=lambda each: each.seq or 0
        )
        if room.name != GENERAL:
            return values
        return values + [
            sent for name, sent in self._sampled.items() if client not in self._rooms[name].members
        ]

    def _last_seq(self, client: Client) -> dict[str, int]:
        """Not of ticks: one that replaced another may come after the heartbeat with its number."""
        sampled = (
            {name: sent.seq for name, sent in self._sampled.items() if sent.seq is not None}
            if GENERAL in client.rooms
            else {}
        )
        kept = sorted(name for name in client.rooms if not is_tick_room(name))
        return sampled | {name: self._rooms[name].seq for name in kept}

    def _age(self, room: _Room, now: float) -> None:
        room.prune(now)
        if room.members:
            room.used_at = now
            if room.wanted_at is not None:
                room.wanted_at = now
        elif room.wanted_at is not None and now - room.wanted_at > RING_SECONDS:
            room.wanted_at = None
            room.forget()
        elif is_tick_room(room.name) and now - room.used_at > TICK_ROOM_SECONDS:
            del self._rooms[room.name]
