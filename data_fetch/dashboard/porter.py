"""Which account has signed in to the dashboard, by the token that its browser keeps."""

from datetime import timedelta

from starlette.concurrency import run_in_threadpool

from data_fetch.core.accounts.accounts import Account, Role
from data_fetch.core.accounts.events import AccountEvent, EventKind
from data_fetch.core.clock import SystemClock
from data_fetch.core.errors import LockedOut, SignInFailed, TokenInvalid
from data_fetch.core.settings import Settings
from data_fetch.reading.kept_open import KeptOpen
from data_fetch.runtime.accounts import rules_of
from data_fetch.runtime.signing_secret import signing_secret
from data_fetch.runtime.stores import store_for
from data_fetch.services.access_tokens import AccessTokens
from data_fetch.services.account_audit import RefusalAudit
from data_fetch.services.hashing import Hashing
from data_fetch.services.passwords import Passwords
from data_fetch.services.sign_in import SignIn

# A working day; then the account signs in again.
SIGNED_IN_FOR = timedelta(hours=12)
DELAYED = "the account has the role public, and the dashboard shows data without delay"
ANOTHER_ROLE = "An administrator gives another role: data-fetch accounts role EMAIL user"


class Porter:
    """Lets accounts of the store in, except those with the role `public`.

    Raises SetupError when there is no usable secret to sign tokens with.
    """

    def __init__(self, settings: Settings, kept: KeptOpen) -> None:
        self._tokens = AccessTokens(signing_secret(settings))
        self._refusals = RefusalAudit(lambda: kept.store(settings, store_for))
        self._hashing = Hashing()
        self._sign_in = SignIn(
            lambda: kept.store(settings, store_for), rules_of(settings), Passwords(), self._tokens
        )

    async def token_for(self, email: str, password: str, address: str) -> str:
        """A token for the account of *email*, who asks from *address*.

        Raises SignInFailed, LockedOut, TooBusy; TokenInvalid for the role `public`.
        """
        try:
            signed_in = await self._hashing.run(
                lambda: self._sign_in.sign_in(email, password, address)
            )
        except (SignInFailed, LockedOut) as problem:
            await run_in_threadpool(self._note, problem, address)
            raise
        _refuse_public(signed_in.account)
        return self._tokens.issue(signed_in.account, SystemClock().now(), SIGNED_IN_FOR)

    async def check(self, token: str) -> None:
        """Raises TokenInvalid for a token that lets nothing in, or no more."""
        await run_in_threadpool(self.holder, token)

    def holder(self, token: str) -> Account:
        """The account that is let in by *token*. Raises TokenInvalid, StoreUnreachable."""
        account = self._sign_in.holder_of_token(token)
        _refuse_public(account)
        return account

    def _note(self, problem: SignInFailed | LockedOut, address: str) -> None:
        failed = isinstance(problem, SignInFailed)
        now = SystemClock().now()
        self._refusals.note(
            AccountEvent(
                at=now,
                kind=EventKind.SIGN_IN_FAILED if failed else EventKind.LOCKED_OUT,
                email=problem.email if isinstance(problem, SignInFailed) else None,
                address=address,
                detail="dashboard",
            )
        )
        self._refusals.store(now)


def _refuse_public(account: Account) -> None:
    if account.role is Role.PUBLIC:
        raise TokenInvalid(DELAYED, hint=ANOTHER_ROLE)
