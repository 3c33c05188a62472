"""The accounts of the configured store."""

from contextlib import closing

from data_fetch.core.accounts.accounts import AccountRules, account_rules
from data_fetch.core.settings import Settings
from data_fetch.runtime.stores import store_for
from data_fetch.services.accounts import Accounts
from data_fetch.services.passwords import Passwords


def rules_of(settings: Settings) -> AccountRules:
    """What the servers of *settings* accept."""
    return account_rules(
        on_loopback=settings.on_loopback,
        needs_authentication=settings.needs_authentication,
        password_min_length=settings.password_min_length,
    )


def accounts_of(settings: Settings) -> Accounts:
    """The accounts of the store of *settings*; each query opens it."""
    return Accounts(lambda: closing(store_for(settings)), rules_of(settings), Passwords())
