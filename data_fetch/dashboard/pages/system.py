"""System: jobs and runs, alerts, storage, archive and log lines."""

from collections.abc import Sequence

import streamlit as st

from data_fetch.core.alerts import Severity
from data_fetch.core.runs import SyncRun
from data_fetch.core.settings import Settings
from data_fetch.dashboard.desk import SHARED_FOR, desk
from data_fetch.dashboard.downloads import offer
from data_fetch.dashboard.numbers import day_and_time
from data_fetch.dashboard.page import live, note_age, note_empty
from data_fetch.dashboard.system_texts import (
    alert_line,
    archive_rows,
    archive_sentence,
    bytes_text,
    check_line,
    collector_sentence,
    growth_figure,
    job_rows,
    log_row,
    run_rows,
    run_table,
)
from data_fetch.reading.alert_list import alert_list
from data_fetch.reading.archive_status import archive_status
from data_fetch.reading.job_figures import collector_state
from data_fetch.reading.log_lines import LEVELS, LogLine, log_lines
from data_fetch.reading.run_records import last_runs
from data_fetch.reading.setup_checks import Check, State, local_checks
from data_fetch.reading.store_growth import store_growth
from data_fetch.reading.store_source import store_source

EVERY_SECONDS, SELDOM_SECONDS = 10.0, 60.0
MOST_RUNS, MOST_LINES = 50, 100
# Of jobs and levels.
KEPT = 32
ALL = "all"
ALERTS = {State.FAILED: st.error, State.WARNING: st.warning}
BY_SEVERITY = {
    Severity.CRITICAL: st.error,
    Severity.WARNING: st.warning,
    Severity.INFO: st.info,
}


def show() -> None:
    st.title("System")
    # Each part would name the problem of a store that cannot be read.
    desk().ask(store_source)
    live(_collector, EVERY_SECONDS)
    live(_storage, SELDOM_SECONDS)
    live(_runs, EVERY_SECONDS)
    live(_logs, EVERY_SECONDS)


def _alerts() -> None:
    """The open alerts, while a watcher finds any."""
    for each in desk().recent(alert_list, EVERY_SECONDS).open:
        BY_SEVERITY[each.severity](alert_line(each))


def _collector() -> None:
    state = desk().recent(collector_state, EVERY_SECONDS)
    checks = desk().recent(_checks, EVERY_SECONDS)
    alerts = [each for each in checks if each.state is not State.OK]
    number = "no alert" if not alerts else f"{len(alerts)} of {len(checks)} checks to look at"
    note_age(desk().recent(store_source, EVERY_SECONDS), day_and_time(state.at), number)
    st.markdown(collector_sentence(state))
    _alerts()
    for each in alerts:
        ALERTS[each.state](check_line(each))
    with st.expander("All checks"):
        for each in checks:
            st.markdown(check_line(each))
        st.caption("`data-fetch doctor` also tries the token, the master and the clock.")
    st.subheader("Jobs")
    st.table(job_rows(state))


def _storage() -> None:
    growth = desk().recent(store_growth, SELDOM_SECONDS)
    st.subheader("Storage")
    st.markdown(f"The database takes {bytes_text(growth.size_bytes)}. Rows stored on each day:")
    st.plotly_chart(growth_figure(growth.days), key="growth", config={"displaylogo": False})
    archive = desk().recent(archive_status, SELDOM_SECONDS)
    st.subheader("Archive")
    st.markdown(archive_sentence(archive))
    for problem in archive.damaged:
        st.error(str(problem))
    st.table(archive_rows(archive))


def _runs() -> None:
    st.subheader("Runs")
    jobs = [ALL, *(each.name for each in desk().recent(collector_state, EVERY_SECONDS).jobs)]
    chosen = st.selectbox("Job", jobs, key="job", bind="query-params")
    runs = _last_runs(_named(chosen))
    if not runs:
        note_empty("runs")
        return
    st.table(run_rows(runs))
    offer("Runs", f"runs-{chosen}", lambda: run_table(runs))


def _named(chosen: str) -> str | None:
    return None if chosen == ALL else chosen


@st.cache_resource(ttl=EVERY_SECONDS * SHARED_FOR, max_entries=KEPT, show_spinner=False)
def _last_runs(job: str | None) -> Sequence[SyncRun]:
    """Those of that moment, shared by all sessions."""
    return desk().ask(lambda settings: last_runs(settings, job, MOST_RUNS))


def _logs() -> None:
    st.subheader("Log lines")
    least = st.selectbox("Level", LEVELS, index=2, key="level", bind="query-params")
    lines = _log_lines(least)
    folder = desk().settings.log_folder
    if not lines:
        st.caption(f"No line of that level is in {folder}.")
        return
    st.table([log_row(each) for each in lines])
    st.caption(f"The newest lines in {folder}; times are those of the machine.")


@st.cache_resource(ttl=EVERY_SECONDS * SHARED_FOR, max_entries=KEPT, show_spinner=False)
def _log_lines(least: str) -> Sequence[LogLine]:
    """Those of that moment, shared by all sessions."""
    return desk().ask(lambda settings: log_lines(settings, least=least, limit=MOST_LINES))


def _checks(settings: Settings) -> list[Check]:
    return list(local_checks(settings))
