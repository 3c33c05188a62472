"""What a server goes on without: named troubles, each with a sentence, in every answer."""


class Troubles:
    """The present troubles by what is in trouble ("redis", "store")."""

    def __init__(self) -> None:
        self._sentences: dict[str, str] = {}

    def __contains__(self, of: str) -> bool:
        return of in self._sentences

    def begin(self, of: str, sentence: str) -> None:
        """*of* is in trouble from now on: *sentence* says what that means for answers."""
        self._sentences[of] = sentence

    def end(self, of: str) -> None:
        """*of* is well again."""
        self._sentences.pop(of, None)

    @property
    def degraded(self) -> str | None:
        """What the server goes on without; None when all is well."""
        return "; ".join(self._sentences.values()) or None
