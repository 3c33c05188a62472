"""Which senders get a compressed answer."""

import pytest

from data_fetch.serving.compression import accepts_gzip


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip", True),
        ("deflate, GZIP, br", True),
        ("gzip;q=0.5", True),
        ("*", True),
        ("br;q=1.0, gzip;q=0.001", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000, br", False),
        ("xgzip", False),
        ("gzip;q=1.0.0", False),
        ("gzip;q=0, *", False),
        ("*, gzip;q=0", False),
        ("*;q=0, gzip", True),
        # It is read in one go, however long it is.
        pytest.param("gzip" + " " * 1_000_000 + "x", False, id="a million blanks"),
        pytest.param("gzip;" * 200_000 + "q=1", True, id="a million letters"),
    ],
)
def test_gzip_is_sent_only_where_it_is_accepted(header: str, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted
