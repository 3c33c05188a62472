"""The messages that wait for one client: bounded, and the newest of each key only."""

from data_fetch.publishing.stream_messages import Key, Message

MOST_MESSAGES = 2_000
MOST_BYTES = 32 * 1024 * 1024


class Outbox:
    """Messages that were not sent yet, oldest first.

    A newer value replaces the older one of its key, and goes to the end: the numbers of a room
    never go back. The bytes of a message are shared by all clients that wait for it.
    """

    __slots__ = ("_most_bytes", "_most_messages", "_unnamed", "_waiting", "bytes", "conflated")

    def __init__(self, most_messages: int = MOST_MESSAGES, most_bytes: int = MOST_BYTES) -> None:
        self._most_messages = most_messages
        self._most_bytes = most_bytes
        # Each with the second since which the client has been waiting for it.
        self._waiting: dict[Key | int, tuple[Message, float]] = {}
        self._unnamed = 0
        self.bytes = 0
        self.conflated = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, message: Message, now: float) -> bool:
        """Add *message* at the second *now*; False when there is no room for it."""
        waiting, name = self._waiting, message.key or self._next_name()
        # Removed first, so that the new one is the last.
        replaced = waiting.pop(name, None)
        if replaced is not None:
            older, now = replaced
            self.conflated += 1
            self.bytes -= older.size
        if len(waiting) >= self._most_messages or self.bytes + message.size > self._most_bytes:
            return False
        # A client goes on waiting for a key since the value that it never got.
        waiting[name] = message, now
        self.bytes += message.size
        return True

    def take(self, most_bytes: int) -> list[Message]:
        """Remove the oldest messages of together at most *most_bytes*, but at least one."""
        waiting = self._waiting
        if not waiting:
            return []
        if len(waiting) == 1:
            # Nearly always.
            _, (message, _) = waiting.popitem()
            self.bytes = 0
            return [message]
        return self._taken(most_bytes)

    def waiting_since(self) -> float | None:
        """Since which second the client has been waiting for something; None when for nothing."""
        return min((since for _, since in self._waiting.values()), default=None)

    def clear(self) -> None:
        """Drop everything."""
        self._waiting.clear()
        self.bytes = 0

    def _next_name(self) -> int:
        self._unnamed += 1
        return self._unnamed

    def _taken(self, most_bytes: int) -> list[Message]:
        taken: list[Message] = []
        size = 0
        for message, _ in self._waiting.values():
            if taken and size + message.size > most_bytes:
                break
            size += message.size
            taken.append(message)
        for name in list(self._waiting)[: len(taken)]:
            del self._waiting[name]
        self.bytes -= size
        return taken
