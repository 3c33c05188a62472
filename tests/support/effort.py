"""How much a run of the tests tries: `make test` a little of everything, `make chaos` much."""

import os

CHAOS = bool(os.environ.get("CHAOS"))
# The longest that a process may need on a machine that is slow, or busy with other work.
PATIENCE_SECONDS = 500


def times(usual: int, chaos: int) -> int:
    """How often to try: *usual* in the suite, *chaos* where time does not matter."""
    return chaos if CHAOS else usual
