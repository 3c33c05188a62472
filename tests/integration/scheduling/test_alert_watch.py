"""A watcher over a store: what it sends, what systemd sees of it, and how it ends."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import pytest
from click.testing import CliRunner
from service_managers import service_manager
from webhook import Webhook, webhook

from data_fetch.alerts.changes import Damping
from data_fetch.alerts.rules import RULES
from data_fetch.cli.main import cli
from data_fetch.core.errors import SetupError
from data_fetch.core.settings import Settings
from data_fetch.runtime.service_manager import ALIVE, READY, STOPPING
from data_fetch.scheduling.alert_watch import watch
from data_fetch.services.alerts import AlertRound

SECRET = "T0123456789-abcdefghijk"


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as found:
        yield found


def settings_of(folder: Path, url: str, hook: Webhook) -> Settings:
    environment = {
        "DATA_SOURCE": "paper",
        "DATABASE_URL": url,
        "ALERT_URLS": f"json://127.0.0.1:{hook.port}/{SECRET}",
    }
    return Settings.load(environment, folder)


def one_round(settings: Settings) -> None:
    """The round of a watcher that is stopped after it."""
    stop = Event()
    watch(lambda: settings, stop, lambda _: stop.set())


def test_it_is_ready_after_its_first_round_and_shows_signs_of_life(
    database_url: str, tmp_path: Path, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, stop = settings_of(tmp_path, database_url, hook), Event()
    rounds: list[AlertRound] = []
    with service_manager() as manager:
        monkeypatch.setenv("NOTIFY_SOCKET", manager.name)
        thread = Thread(target=watch, args=(lambda: settings, stop, rounds.append, 0.0))
        thread.start()
        first, second = manager.await_report(READY), manager.await_report(READY)
        stop.set()
        assert manager.await_report(STOPPING) == [STOPPING]
        thread.join()

    assert first == second == [READY, ALIVE, "STATUS=0 open alerts"]
    assert {each.store_problem for each in rounds} == {None}
    assert hook.received == []


def test_a_symbols_file_that_breaks_is_an_alert_and_a_restart_does_not_repeat_it(
    database_url: str, tmp_path: Path, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path, database_url, hook)
    (tmp_path / "nse_fo_stock_symbols.txt").write_bytes(b"\xff\xfe\x00")
    monkeypatch.setattr(
        "data_fetch.alerts.rules.RULES",
        tuple(replace(rule, damping=Damping()) for rule in RULES),
    )
    for _ in range(2):
        one_round(settings)

    [message] = hook.received
    assert message["title"] == "data-fetch (paper): warning: figures_unknown"
    assert "#figures_unknown" in message["message"]


def test_without_an_address_it_does_not_start(tmp_path: Path) -> None:
    settings = Settings.load({"DATA_SOURCE": "paper"}, tmp_path)
    with pytest.raises(SetupError, match="ALERT_URLS is not set"):
        watch(lambda: settings, Event(), lambda _: None)


def test_the_command_announces_nothing_without_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_SOURCE", "paper")
    ended = CliRunner().invoke(cli, ["alerts", "watch"])

    assert isinstance(ended.exception, SetupError)
    assert ended.output == ""


def test_the_command_tries_each_channel_and_shows_no_secret(
    tmp_path: Path, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_SOURCE", "paper")
    monkeypatch.setenv("ALERT_URLS", f"json://127.0.0.1:{hook.port}/{SECRET}")
    accepted = CliRunner().invoke(cli, ["alerts", "test"])
    hook.status = 500
    refused = CliRunner().invoke(cli, ["alerts", "test"])

    assert (accepted.exit_code, refused.exit_code) == (0, 4)
    assert accepted.stdout == f"json://127.0.0.1:{hook.port}: accepted\n"
    assert "failed" in refused.stdout
    assert SECRET not in accepted.output + refused.output
    assert [each["title"] for each in hook.received] == ["data-fetch: test"] * 2
