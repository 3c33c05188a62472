"""The sentence of a backfill's audit row, and its counts: the same as those of the document."""

from datetime import date

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.request_planner import Window
from data_fetch.core.errors import TokenRejected
from data_fetch.core.failures import FailureGroup
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.runs import Outcome
from data_fetch.services.backfill_report import BackfillReport
from data_fetch.sources.upstox.candle_endpoints import HISTORICAL


def window(symbol: str) -> Window:
    key = f"NSE_EQ|{symbol}"
    of = Instrument(
        instrument_key=key,
        live_key=key,
        symbol=symbol,
        segment="NSE_EQ",
        instrument_type="EQ",
    )
    day = date(2026, 9, 15)
    return Window(
        instrument=of,
        interval=CandleInterval.MINUTE,
        first=day,
        last=day,
        endpoint=HISTORICAL,
        minutes=375,
    )


def report_of_five() -> BackfillReport:
    report = BackfillReport(run_id="run", windows=5, done=5, answered=3)
    report.failed(FailureGroup.NETWORK, "503", window("TCS"))
    report.failed(FailureGroup.NETWORK, "503", window("LT"))
    report.failed(FailureGroup.SCHEMA, "HTML", window("SBIN"))
    report.failures[FailureGroup.EMPTY] += 1
    report.missed = 750
    return report


def test_the_sentence_names_failed_windows_by_kind_with_their_reasons() -> None:
    report = report_of_five()

    assert report.why_incomplete() == (
        "750 minutes are still missing; 3 of 5 requests failed: 2 network, 1 schema; "
        "TCS: 503; LT: 503; SBIN: HTML"
    )
    facts = report.facts()
    assert facts["windows_failed"] == 3
    assert facts["failures"] == {"network": 2, "schema": 1, "empty": 1}
    assert facts["reasons"] == {"TCS": "503", "LT": "503", "SBIN": "HTML"}


def test_an_empty_response_is_no_failure() -> None:
    report = BackfillReport(run_id="run", windows=1, done=1, answered=1)
    report.failures[FailureGroup.EMPTY] += 1

    assert (report.failed_windows, report.failures_text()) == (0, "")
    assert (report.outcome, report.why_incomplete()) == (Outcome.COMPLETED, None)


def test_what_stopped_a_run_comes_first() -> None:
    report = report_of_five()
    report.stopped_by = TokenRejected("The token was rejected")

    assert str(report.why_incomplete()).startswith("The token was rejected; 3 of 5 requests")
