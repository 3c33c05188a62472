"""`data-fetch alerts`: watch and alert, try the channels, list alerts."""

import os
import signal
import sys
from threading import Event
from typing import NoReturn

import click

from data_fetch.alerts.texts import duration
from data_fetch.cli.shared.output import REFUSED, counted, emit, json_option, print_out, remark
from data_fetch.cli.shared.parent import with_parent_option
from data_fetch.core.alerts import AlertMessage, AlertState, Severity
from data_fetch.reading.alert_list import AlertList, alert_list
from data_fetch.reading.instants import ist_text
from data_fetch.runtime.logs import ALERTS, logs_for
from data_fetch.runtime.settings import process_settings

TEST_TITLE = "data-fetch: test"


@click.group()
def command() -> None:
    """Messages about what is wrong: to Telegram, Slack, mail or a webhook (ALERT_URLS)."""


@command.command()
@json_option
def test(as_json: bool) -> None:
    """Send one message to each channel. Exit status 4 when one does not accept it."""
    # apprise takes longer to load than most commands take to run.
    from data_fetch.alerts.channels import NO_ANSWER
    from data_fetch.runtime.alerts import alert_channels

    settings = process_settings()
    text = f"A test from the {settings.world} world in {settings.folder}. Alerts arrive here."
    results = {
        channel.name: channel.send(str(Severity.INFO), TEST_TITLE, text)
        for channel in alert_channels(settings)
    }
    if as_json:
        emit({"channels": [{"channel": name, "error": why} for name, why in results.items()]})
    else:
        for name, why in results.items():
            print_out(f"{name}: {'accepted' if why is None else f'failed: {why}'}")
    if NO_ANSWER in results.values():
        _end_at_once(REFUSED)
    if any(results.values()):
        sys.exit(REFUSED)


@command.command("list")
@json_option
def list_alerts(as_json: bool) -> None:
    """Show the open alerts, recent ones, and the last messages."""
    found = alert_list(process_settings())
    if as_json:
        emit(found.document())
    else:
        for line in list_lines(found):
            print_out(line)


def list_lines(found: AlertList) -> list[str]:
    return [
        f"Open     {counted(len(found.open), 'alert')}",
        *(f"  {_open_line(each)}" for each in found.open),
        f"Recent   {counted(len(found.recent), 'alert')} that is over"
        if len(found.recent) == 1
        else f"Recent   {len(found.recent)} alerts that are over",
        *(f"  {_recent_line(each)}" for each in found.recent),
        f"Messages {counted(len(found.messages), 'message')}, the newest first",
        *(f"  {_message_line(each)}" for each in found.messages),
    ]


def _open_line(state: AlertState) -> str:
    return (
        f"{state.severity} {state.rule} since {ist_text(state.since)}: {state.title}. "
        f"{state.action}"
    )


def _recent_line(state: AlertState) -> str:
    return f"{ist_text(state.since)} {state.rule}, {duration(state.lasted)}: {state.title}"


def _message_line(message: AlertMessage) -> str:
    why = f" after {counted(message.attempts, 'attempt')}: {message.error}" if message.error else ""
    return f"{ist_text(message.made_at)} {message.channel} {message.state}{why}: {message.title}"


@command.command()
@with_parent_option
@json_option
def watch(as_json: bool) -> None:
    """Judge what is wrong every minute and report it, until Ctrl-C.

    Works beside a collector, and without one: that one has ended is an alert.
    """
    from data_fetch.alerts.channels import NO_ANSWER
    from data_fetch.runtime.alerts import alert_channels
    from data_fetch.scheduling.alert_watch import watch as watch_until
    from data_fetch.services.alerts import AlertRound

    settings = process_settings()
    stop, hanging = Event(), False
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())

    def show(found: AlertRound) -> None:
        nonlocal hanging
        hanging = hanging or any(message.error == NO_ANSWER for message in found.failed)
        for news in found.news:
            remark(f"{news.change}: {news.state.rule}: {news.state.title}")
        for message in found.failed:
            remark(f"Not sent to {message.channel}: {message.error}. It is sent again later.")

    token = settings.access_token.get_secret_value()
    with logs_for(settings, lambda: token, ALERTS):
        channels = len(alert_channels(settings))
        if as_json:
            emit({"channels": channels})
            sys.stdout.flush()
        else:
            remark(f"Watching; {counted(channels, 'channel')}. Ctrl-C ends it.")
        watch_until(process_settings, stop, show)
    remark("The alert watcher has stopped.")
    if hanging:
        _end_at_once(0)


def _end_at_once(status: int) -> NoReturn:
    # Not by an exception: the interpreter would wait for a channel that never answers.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
