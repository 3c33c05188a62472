"""`data-fetch login`: get a daily token from Upstox, and store it for every process."""

import sys
import webbrowser

import click

from data_fetch.cli.shared.output import emit, json_option, print_out, remark
from data_fetch.core.clock import IST
from data_fetch.core.errors import SetupError
from data_fetch.core.provider_tokens import Login
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.reading.instants import ist_text
from data_fetch.reading.token_status import time_left
from data_fetch.runtime.login import (
    LoginContext,
    analytics_token,
    login_for,
    notifier_path,
    user_of,
)
from data_fetch.runtime.settings import process_settings

MINUTES = 5


@click.command()
@click.option("--no-browser", is_flag=True, help="Print the address, and open no browser.")
@click.option(
    "--paste",
    is_flag=True,
    help="Read the address to which the browser was sent from standard input: for ssh.",
)
@click.option(
    "--approval", is_flag=True, help="Ask for approval in the Upstox app; the API server gets it."
)
@click.option("--notifier", is_flag=True, help="Print the path of the notifier, and end.")
@click.option("--code", help="The code, or the address to which the browser was sent.")
@click.option(
    "--minutes",
    type=click.IntRange(1, 60),
    default=MINUTES,
    show_default=True,
    help="How long to wait for the person who logs in.",
)
@click.option("--force", is_flag=True, help="Log in although there is an Analytics Token.")
@json_option
def command(
    no_browser: bool,
    paste: bool,
    approval: bool,
    notifier: bool,
    code: str | None,
    minutes: int,
    force: bool,
    as_json: bool,
) -> None:
    """Log in to Upstox in a browser, and store the token, which ends at 03:30 IST.

    Running processes use it from their next request on. Exit status 2 when the app is not set up
    (UPSTOX_API_KEY, UPSTOX_API_SECRET, UPSTOX_REDIRECT_URI), 4 when Upstox gave no token.
    """
    settings = process_settings()
    for line in settings.notices:
        remark(line)
    if notifier:
        print_out(notifier_path(settings))
        return
    with login_for(settings) as context:
        analytics = analytics_token(settings, context.clock.now())
        if analytics is not None and not force:
            assert analytics.expires_at is not None
            raise SetupError(
                "an Analytics Token is set, which is valid until "
                f"{analytics.expires_at.astimezone(IST):%d %b %Y}: no login is needed",
                hint="--force logs in all the same; the Analytics Token stays in use.",
            )
        if code is not None:
            login = context.service.finish(context.code_in(code), context.redirect_uri)
        elif approval:
            login = _from_approval(context, settings, minutes)
        elif paste:
            login = _from_paste(context)
        else:
            login = _from_browser(context, minutes, open_browser=not no_browser)
        if as_json:
            emit(
                {
                    "user_id": login.user_id,
                    "valid_until": ist_text(login.expires_at),
                    "stored_in": str(context.file),
                }
            )
        else:
            _report(login, context)


def _from_browser(context: LoginContext, minutes: int, *, open_browser: bool) -> Login:
    with context.listener() as listener:
        dialog = context.service.dialog(listener.uri)
        remark(f"Log in here, within {minutes} minutes:\n  {dialog.url}")
        if open_browser:
            webbrowser.open(dialog.url)
        code = listener.answer(minutes * 60).code_for(dialog.state)
        return context.service.finish(code, listener.uri)


def _from_approval(context: LoginContext, settings: Settings, minutes: int) -> Login:
    # Without a user or a path nothing could be received.
    path, user_id = notifier_path(settings), user_of(settings, context.service)
    known = context.service.last()
    request = context.service.request_approval()
    until = f"{request.expires_at.astimezone(IST):%d %b %H:%M} IST"
    remark(
        f"Approve the request of {user_id} in the Upstox app, until {until}. The token is then "
        "sent to the app's notifier."
    )
    if not request.notifier_url.endswith(path):
        remark(
            "Warning: the app's notifier URL does not lead to this server. Register "
            f"https://<your host>{path} in the developer console."
        )
    remark(f"Waiting for it for {minutes} minutes ...")
    return context.service.wait_for_another(known, minutes * 60)


def _from_paste(context: LoginContext) -> Login:
    dialog = context.service.dialog(context.redirect_uri)
    remark(
        f"Log in here, in any browser:\n  {dialog.url}\n"
        "The browser is then sent to an address that it may fail to show. Paste that address:"
    )
    code = context.code_in(sys.stdin.readline(), dialog.state)
    return context.service.finish(code, context.redirect_uri)


def _report(login: Login, context: LoginContext) -> None:
    left = time_left(login.expires_at, context.clock.now())
    print_out(
        f"Logged in as {login.user_id}. The token is valid until "
        f"{login.expires_at.astimezone(IST):%a %d %b %H:%M} IST ({left})."
    )
    if context.world is World.PAPER:
        remark("It is a token of the paper exchange.")
    remark("Running processes use it from their next request on; no restart is needed.")
