"""The keys of one connection, their modes, and the packets that it has of them."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from data_fetch.paper_exchange.faults.feed_effects import last_trade
from data_fetch.paper_exchange.upstox.feed_limits import FeedRules
from data_fetch.paper_exchange.upstox.feed_packets import FeedInstant, Mode

# Before any instant.
NEVER = 0.0


@dataclass(frozen=True, slots=True)
class Changes:
    """Packets that differ from the last ones; the last trade of *untraded* keys is the same."""

    packets: dict[str, Any]
    untraded: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Latest:
    """The last packet of a key and the trade in it, as bytes."""

    packet: bytes
    trade: bytes


class Subscriptions:
    def __init__(self) -> None:
        self._modes: dict[str, Mode] = {}
        self._latest: dict[str, _Latest] = {}
        self._since = NEVER

    @property
    def keys(self) -> Collection[str]:
        return self._modes.keys()

    def by_mode(self) -> dict[str, int]:
        """How many keys there are in each mode."""
        return dict(Counter(mode.value for mode in self._modes.values()))

    def add(self, keys: Iterable[str], mode: Mode) -> None:
        """Subscribe to *keys*, or change their mode."""
        self._modes |= dict.fromkeys(keys, mode)

    def remove(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._modes.pop(key, None)
            self._latest.pop(key, None)

    def exceeded(self, keys: Iterable[str], mode: Mode, rules: FeedRules) -> Mode | None:
        """The mode that would have too many keys with these added; None: all are within limits."""
        return rules.exceeded((self._modes | dict.fromkeys(keys, mode)).values())

    def fitting(self, keys: tuple[str, ...], mode: Mode, rules: FeedRules) -> tuple[str, ...]:
        """The first of *keys* that can be added within the limits."""
        others = [other for key, other in self._modes.items() if key not in keys]
        return keys[: max(0, rules.room(mode, others) - others.count(mode))]

    def packets(self, instant: FeedInstant, keys: Iterable[str]) -> dict[str, Any]:
        """The packets of those keys that are listed, which are now the latest."""
        packets: dict[str, Any] = {}
        for key in keys:
            packet = instant.packet(key, self._modes[key])
            if packet is not None:
                packets[key] = packet
                self._latest[key] = _Latest(
                    packet.SerializeToString(), last_trade(packet).SerializeToString()
                )
        return packets

    def changes(self, instant: FeedInstant) -> Changes:
        """What has changed since the last call; anything may if the clock was set back."""
        seconds = instant.now.seconds
        since, self._since = self._since if self._since <= seconds else NEVER, seconds
        due = [
            key for key, mode in self._modes.items() if instant.may_have_changed(key, mode, since)
        ]
        before = {key: self._latest.get(key) for key in due}
        packets = {
            key: packet
            for key, packet in self.packets(instant, due).items()
            if (known := before[key]) is None or known.packet != self._latest[key].packet
        }
        untraded = frozenset(
            key
            for key in packets
            if (known := before[key]) is not None and known.trade == self._latest[key].trade
        )
        return Changes(packets, untraded)
