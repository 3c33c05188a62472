"""Whether the viewer of a page may request chains, and start, pause and resume backfills."""

import streamlit as st

from data_fetch.core.accounts.accounts import Role
from data_fetch.core.errors import SetupError, TokenInvalid
from data_fetch.dashboard.desk import desk
from data_fetch.dashboard.door import COOKIE

READING_ONLY = (
    "This dashboard is for reading only. Type the command, or start the dashboard with "
    "`data-fetch dashboard --control`."
)
SIGNED_OUT = "This browser is signed out. Load the page again to sign in."


def control_refusal() -> str | None:
    """Why the account of this session may start nothing; None when it may.

    Of a dashboard that needs no accounts everyone may, if it was started so. Raises
    StoreUnreachable.
    """
    if not desk().may_control:
        return READING_ONLY
    porter = desk().porter
    if porter is None:
        return None
    try:
        account = porter.holder(st.context.cookies.get(COOKIE, ""))
    except TokenInvalid:
        return SIGNED_OUT
    if account.role is Role.ADMIN:
        return None
    return (
        "Requests to the provider are started by accounts with the role admin; yours has the role "
        f"{account.role}. Type the command, or have the role changed: "
        f"`data-fetch accounts role {account.email} admin`"
    )


def refuse_control() -> None:
    """Raises SetupError when the account of this session may start nothing."""
    refusal = control_refusal()
    if refusal is not None:
        raise SetupError(refusal)
