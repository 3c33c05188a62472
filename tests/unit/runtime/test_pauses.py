"""The pauses that providers require, as `data-fetch status` shows them."""

from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from paced import file_pacer

from data_fetch.core.clock import SystemClock
from data_fetch.core.settings import Settings
from data_fetch.runtime.pauses import required_pauses
from data_fetch.sources.nse.limits import NSE_LIMITS
from data_fetch.sources.transport.pacing import account_of
from data_fetch.sources.upstox.limits import UPSTOX_LIMITS

LIVE = {"DATA_SOURCE": "upstox", "UPSTOX_ACCESS_TOKEN": "first-token"}


@pytest.fixture(autouse=True)
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "data-fetch"


def test_pauses_of_the_live_world_are_named_by_api(tmp_path: Path, state_folder: Path) -> None:
    pauses = [
        (account_of("api.upstox.com", "first-token"), UPSTOX_LIMITS, "ltp"),
        (account_of("www.nseindia.com", ""), NSE_LIMITS, "nse"),
        (account_of("api.upstox.com", "token of another account"), UPSTOX_LIMITS, "ohlc"),
    ]
    for account, limits, api in pauses:
        with closing(file_pacer(state_folder, SystemClock(), limits, account=account)) as pacer:
            pacer.pause(api, timedelta(minutes=20))

    assert sorted(required_pauses(Settings.load(LIVE, tmp_path))) == ["ltp", "nse"]


@pytest.mark.parametrize("environment", [LIVE, {}], ids=["live", "paper"])
def test_without_a_pause_no_file_is_made(
    environment: dict[str, str], tmp_path: Path, state_folder: Path
) -> None:
    assert required_pauses(Settings.load(environment, tmp_path)) == {}
    assert not state_folder.exists()
