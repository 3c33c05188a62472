"""Logs in at the provider: a token is proved by a request before any process uses it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_urlsafe
from time import sleep

from data_fetch.core.clock import IST, stopwatch
from data_fetch.core.errors import LoginRefused, NotificationRefused, TokenRejected
from data_fetch.core.ports import Clock, LoginSource, LoginStore
from data_fetch.core.provider_tokens import ApprovalRequest, Login

LOOK_SECONDS = 0.5

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Dialog:
    """A dialog to open in a browser; its answer must have the same *state*."""

    url: str
    state: str


class LoginService:
    """Logs in at *source* and stores the token in *logins*.

    *prove* sends one request with a token; it raises TokenRejected when the provider rejects it.
    """

    def __init__(
        self,
        *,
        source: LoginSource,
        logins: LoginStore,
        prove: Callable[[str], object],
        clock: Clock,
    ) -> None:
        self._source = source
        self._clock = clock
        self._logins = logins
        self._prove = prove

    def dialog(self, redirect_uri: str) -> Dialog:
        """A new dialog, which sends the browser to *redirect_uri*."""
        state = token_urlsafe(32)
        return Dialog(self._source.dialog_url(redirect_uri, state), state)

    def finish(self, code: str, redirect_uri: str) -> Login:
        """The login for the *code* of a dialog, proved and stored.

        Raises LoginRefused, and the errors of the requests; nothing is stored then.
        """
        return self.take(self._source.exchange(code, redirect_uri))

    def request_approval(self) -> ApprovalRequest:
        """Ask for approval in the provider's app; the notifier gets the token."""
        return self._source.request_approval()

    def receive(self, login: Login) -> Login:
        """Take a *login* that was posted to the notifier.

        Raises NotificationRefused for one that was posted before, and else as `finish` does.
        """
        known = self._logins.read()
        if known is not None and login.issued_at <= known.issued_at:
            raise NotificationRefused("it is not newer than the stored login")
        return self.take(login)

    def last(self) -> Login | None:
        """The stored login."""
        return self._logins.read()

    def wait_for_another(self, known: Login | None, seconds: float) -> Login:
        """The login that replaces *known*, stored by the notifier. Raises LoginRefused when there
        is none within *seconds*."""
        latest = stopwatch() + seconds
        while stopwatch() < latest:
            found = self._logins.read()
            if found is not None and found != known:
                return found
            sleep(LOOK_SECONDS)
        raise LoginRefused(
            f"No approval arrived within {seconds / 60:.0f} minutes",
            hint="The request stays open: the API server stores the token when it is approved.",
        )

    def take(self, login: Login) -> Login:
        """Store *login* once its token is proved. Raises as `finish` does."""
        if login.expires_at <= self._clock.now():
            ended = f"{login.expires_at.astimezone(IST):%d %b %H:%M} IST"
            raise LoginRefused(
                f"By this machine's clock the new token has ended already, {ended}",
                hint="Correct the clock (timedatectl set-ntp true), then log in again.",
            )
        try:
            self._prove(login.access_token)
        except TokenRejected:
            raise LoginRefused(
                "Upstox rejects the token that it issued",
                hint="Wait a minute, then run data-fetch login again.",
            ) from None
        self._logins.save(login)
        log.info("logged_in", extra={"user": login.user_id, "until": login.expires_at.isoformat()})
        return login
