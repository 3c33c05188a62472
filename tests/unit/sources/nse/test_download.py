"""Tables of a chain that are no tables."""

from datetime import date

import pytest

from data_fetch.core.chains.chains import ChainError
from data_fetch.core.failures import FailureKind
from data_fetch.sources.nse.download import read_download

EXPIRY = date(2026, 9, 22)
# The csv module takes no cell of more letters.
LONGEST_CELL = 131_072


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        pytest.param(b"CALLS,,PUTS\n", FailureKind.RENAMED_FIELD, id="no strikes"),
        pytest.param(
            b"CALLS,,PUTS\n" + b"9" * (LONGEST_CELL + 1), FailureKind.NOT_A_CHAIN, id="a long cell"
        ),
    ],
)
def test_it_is_refused_with_the_reason(text: bytes, kind: FailureKind) -> None:
    with pytest.raises(ChainError) as refusal:
        read_download(text, "NIFTY", EXPIRY)

    assert refusal.value.kind is kind
