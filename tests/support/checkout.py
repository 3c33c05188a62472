"""Where the tests find the repository and what lies beside it."""

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
SUPPORT = CHECKOUT / "tests" / "support"
