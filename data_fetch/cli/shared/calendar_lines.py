"""Provisional sessions of the market calendar, for people."""

from collections.abc import Sequence
from datetime import date

from data_fetch.cli.shared.output import counted, remark


def remark_on_provisional(sessions: Sequence[date]) -> None:
    """Remark that the hours of *sessions* are not reviewed, if there are any."""
    if sessions:
        remark(
            f"{counted(len(sessions), 'session')} from {sessions[0]} to {sessions[-1]}: "
            "provisional, the hours are not reviewed."
        )
