"""The messages that wait for one client: bounded, and the newest of each key only."""

from collections import OrderedDict
from dataclasses import dataclass

from data_fetch.publishing.stream_messages import Key, Message

MOST_MESSAGES = 2_000
MOST_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Waiting:
    message: Message
    since: float


class Outbox:
    """Messages that were not sent yet, oldest first.

    A newer value replaces the older one of its key, and goes to the end: the numbers of a room
    never go back. The bytes of a message are shared by all clients that wait for it.
    """

    def __init__(self, most_messages: int = MOST_MESSAGES, most_bytes: int = MOST_BYTES) -> None:
        self._most_messages = most_messages
        self._most_bytes = most_bytes
        self._waiting: OrderedDict[Key | int, _Waiting] = OrderedDict()
        self._unnamed = 0
        self.bytes = 0
        self.conflated = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, message: Message, now: float) -> bool:
        """Add *message* at the second *now*; False when there is no room for it."""
        replaced = None if message.key is None else self._waiting.get(message.key)
        size = self.bytes + len(message.body) - (len(replaced.message.body) if replaced else 0)
        count = len(self._waiting) + (replaced is None)
        if count > self._most_messages or size > self._most_bytes:
            return False
        if replaced is None:
            self._waiting[self._name(message)] = _Waiting(message, now)
        else:
            assert message.key is not None
            self.conflated += 1
            # The client has been waiting for this key since the value that it never got.
            self._waiting[message.key] = _Waiting(message, replaced.since)
            self._waiting.move_to_end(message.key)
        self.bytes = size
        return True

    def take(self, most_bytes: int) -> list[Message]:
        """Remove the oldest messages of together at most *most_bytes*, but at least one."""
        taken: list[Message] = []
        size = 0
        while self._waiting:
            oldest = next(iter(self._waiting.values())).message
            if taken and size + len(oldest.body) > most_bytes:
                break
            self._waiting.popitem(last=False)
            size += len(oldest.body)
            taken.append(oldest)
        self.bytes -= size
        return taken

    def waiting_since(self) -> float | None:
        """Since which second the client has been waiting for something; None when for nothing."""
        return min((each.since for each in self._waiting.values()), default=None)

    def clear(self) -> None:
        """Drop everything."""
        self._waiting.clear()
        self.bytes = 0

    def _name(self, message: Message) -> Key | int:
        if message.key is not None:
            return message.key
        self._unnamed += 1
        return self._unnamed
