"""Go or no-go before the open: each finding by its facts, and what follows from all of them."""

from datetime import UTC, date, datetime, timedelta

import pytest

from data_fetch.core.market.calendar import (
    FUTURES_AND_OPTIONS,
    OTHER_STOCK,
    MarketCalendar,
    Session,
)
from data_fetch.core.provider_tokens import ProviderToken, TokenOrigin
from data_fetch.core.readiness import (
    Finding,
    Readiness,
    Verdict,
    judge_clock,
    judge_disk,
    judge_master,
    judge_rate_windows,
    judge_session,
    judge_store,
    judge_symbols,
    judge_token,
)

OK, WARNING, NO_GO = Verdict.OK, Verdict.WARNING, Verdict.NO_GO
# 08:55 IST; the market opens at 09:15 and closes at 15:30.
NOW = datetime(2026, 7, 1, 3, 25, tzinfo=UTC)
OPEN, CLOSE = NOW + timedelta(minutes=20), NOW + timedelta(hours=6, minutes=35)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
GB = 10**9


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [
        pytest.param(None, OK, id="not in it"),
        pytest.param(NOW + 18 * HOUR, OK, id="next morning"),
        pytest.param(CLOSE, OK, id="at the close"),
        pytest.param(CLOSE - SECOND, NO_GO, id="before the close"),
        pytest.param(NOW, NO_GO, id="now"),
        pytest.param(NOW - 5 * HOUR, NO_GO, id="at 03:30"),
    ],
)
def test_a_token_has_to_last_until_the_close(ends: datetime | None, verdict: Verdict) -> None:
    token = ProviderToken(value="secret", origin=TokenOrigin.LOGIN, expires_at=ends)
    found = judge_token(token, CLOSE, NOW, "Log in.")
    assert (found.verdict, bool(found.hint)) == (verdict, verdict is NO_GO)
    assert "secret" not in repr(found)


def sessions(day: date) -> list[Session]:
    calendar = MarketCalendar.reviewed()
    return [calendar.session(day, group) for group in (OTHER_STOCK, FUTURES_AND_OPTIONS)]


@pytest.mark.parametrize(
    ("day", "refreshed_at", "verdict", "shown"),
    [
        pytest.param(date(2026, 7, 1), None, OK, "open 09:15-15:30", id="a reviewed day"),
        pytest.param(date(2026, 7, 4), None, OK, "closed (Saturday)", id="a Saturday"),
        pytest.param(date(2031, 7, 1), NOW - HOUR, WARNING, "not reviewed", id="confirmed today"),
        pytest.param(date(2031, 7, 1), NOW - 4 * DAY, NO_GO, "provisional", id="confirmed before"),
        pytest.param(date(2031, 7, 1), NOW + DAY, NO_GO, "provisional", id="by a clock ahead"),
        pytest.param(date(2031, 7, 1), None, NO_GO, "provisional", id="never confirmed"),
    ],
)  # fmt: skip
def test_the_hours_of_today_have_to_be_known(
    day: date, refreshed_at: datetime | None, verdict: Verdict, shown: str
) -> None:
    found = judge_session(sessions(day), refreshed_at, NOW)
    assert found.verdict is verdict
    assert shown in found.message


TODAY = date(2026, 7, 1)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        pytest.param(judge_master(TODAY, TODAY, None), OK, id="master of today"),
        pytest.param(judge_master(TODAY, TODAY, "small"), WARNING, id="doubtful master"),
        pytest.param(judge_master(TODAY - DAY, TODAY, None), NO_GO, id="master of yesterday"),
        pytest.param(judge_symbols(5, []), OK, id="all symbols"),
        pytest.param(judge_symbols(5, ["A"]), WARNING, id="all but one"),
        pytest.param(judge_symbols(1, ["A"]), NO_GO, id="no symbol"),
        pytest.param(judge_store("store", None), OK, id="the configured store"),
        pytest.param(judge_store("store", "since 09:00"), WARNING, id="a store that stands in"),
        pytest.param(judge_disk({"/a": 9 * GB, "/b": 3 * GB}), OK, id="room"),
        pytest.param(judge_disk({"/a": 9 * GB, "/b": GB}), WARNING, id="little room in one"),
        pytest.param(judge_disk({"/a": GB // 4}), NO_GO, id="no room"),
        pytest.param(judge_rate_windows(None, OPEN), OK, id="known requests"),
        pytest.param(judge_rate_windows(OPEN, OPEN), WARNING, id="known at the open"),
        pytest.param(judge_rate_windows(OPEN + SECOND, OPEN), NO_GO, id="known after the open"),
        pytest.param(judge_rate_windows(OPEN, None), WARNING, id="unknown, and no trading"),
        pytest.param(judge_clock(timedelta(0)), OK, id="exact clock"),
        pytest.param(judge_clock(-2 * SECOND), OK, id="as exact as can be seen"),
        pytest.param(judge_clock(-10 * SECOND), WARNING, id="clock behind"),
        pytest.param(judge_clock(11 * SECOND), NO_GO, id="clock ahead"),
    ],
)
def test_other_findings(found: Finding, verdict: Verdict) -> None:
    assert found.verdict is verdict


FINE = Finding("store", OK, "takes rows")
DOUBT = Finding("disk", WARNING, "1.0 GB free")
FAULT = Finding("token", NO_GO, "it has ended", "Log in.")


@pytest.mark.parametrize(
    ("findings", "go", "line"),
    [
        pytest.param([FINE], True, "Go for Wed 01 Jul 2026, 08:55 IST", id="all fine"),
        pytest.param([FINE, DOUBT], True, "Go for Wed 01 Jul 2026, 08:55 IST, with warnings: "
                     "disk: 1.0 GB free", id="a warning"),
        pytest.param([DOUBT, FAULT], False, "No-go for Wed 01 Jul 2026, 08:55 IST: "
                     "token: it has ended", id="one fault is enough"),
    ],
)  # fmt: skip
def test_the_result_is_one_line(findings: list[Finding], go: bool, line: str) -> None:
    found = Readiness(at=NOW, findings=findings)
    assert (found.go, found.line) == (go, line)
    assert found.document()["verdict"] == ("go" if go else "no-go")
