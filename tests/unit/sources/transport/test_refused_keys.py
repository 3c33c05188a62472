"""What a file of refused keys has to look like to be believed."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from data_fetch.core.clock import VirtualClock
from data_fetch.sources.transport.refused_keys import RefusedKeys

NOW = datetime(2026, 9, 16, 5, 0, tzinfo=UTC)
KEY = "NSE_EQ|INE002A01018"
SOUND = {"count": 3, "refused_at": "2026-09-16T04:55:00+00:00", "answered_at": None}


def quarantined(folder: Path, refusals: Any) -> bool:
    """Whether the key is left out by what a file has of it."""
    file = folder / "refused.json"
    file.write_bytes(orjson.dumps(refusals))
    return RefusedKeys(VirtualClock(NOW), file).sort([KEY]).quarantined == [KEY]


def test_a_key_that_was_refused_three_times_lately_is_left_out(tmp_path: Path) -> None:
    assert quarantined(tmp_path, {KEY: SOUND})


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"answered_at": 0}, id="an answer at a number"),
        pytest.param({"answered_at": "2026-09-16T04:00:00"}, id="an answer without an offset"),
        pytest.param({"refused_at": "2026-09-16T04:55:00"}, id="a refusal without an offset"),
        pytest.param({"refused_at": None}, id="a refusal at no time"),
        pytest.param({"count": "three"}, id="a count in letters"),
        pytest.param({"count": []}, id="a count that is a list"),
    ],
)
def test_a_damaged_file_leaves_no_key_out(tmp_path: Path, changed: dict[str, Any]) -> None:
    assert not quarantined(tmp_path, {KEY: SOUND | changed})
