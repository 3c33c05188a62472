"""Messages arrive at a real webhook; what does not arrive has a reason without secrets."""

import logging
import socket
from collections.abc import Iterator

import pytest
from webhook import Webhook, slow_webhook, webhook

from data_fetch.alerts import channels
from data_fetch.alerts.channels import Channel, channels_at
from data_fetch.core.alerts import RECOVERED, Severity, alert_addresses
from data_fetch.core.errors import SetupError

FOLDER, PASSWORD = "T0123456789-abcdefghijk", "pass-word-of-the-desk"


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as found:
        yield found


def channel_at(address: str) -> Channel:
    [channel] = channels_at(alert_addresses(address))
    return channel


@pytest.mark.parametrize(
    ("kind", "received"),
    [("info", "info"), ("warning", "warning"), ("critical", "failure"), (RECOVERED, "success")],
)
def test_a_message_arrives_with_its_kind(hook: Webhook, kind: str, received: str) -> None:
    channel = channel_at(f"json://127.0.0.1:{hook.port}/{FOLDER}")

    assert channel.send(kind, "A title", "Two\nlines <b> & *more*") is None
    [message] = hook.received
    assert message["path"] == f"/{FOLDER}"
    assert message["type"] == received
    assert (message["title"], message["message"]) == ("A title", "Two\nlines <b> & *more*")


def test_a_refusal_has_its_reason(hook: Webhook) -> None:
    hook.status = 503
    problem = channel_at(f"json://127.0.0.1:{hook.port}/{FOLDER}").send("info", "t", "x")

    assert problem is not None
    assert "503" in problem


def test_a_dead_address_is_a_result_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    channel = channel_at(f"json://desk:{PASSWORD}@127.0.0.1:{port}/{FOLDER}?+Key={FOLDER}")
    with caplog.at_level(logging.INFO, "data_fetch"):
        problem = channel.send("info", "t", "x")

    assert problem is not None
    shown = f"{problem} {channel!r} {channel.name}"
    assert PASSWORD not in shown
    assert FOLDER not in shown


def test_a_slow_address_is_not_waited_for_longer_than_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(channels, "SEND_SECONDS", 0.2)
    with slow_webhook() as port:
        assert channel_at(f"json://127.0.0.1:{port}/x").send("info", "t", "x") == channels.NO_ANSWER


def test_a_channel_is_named_without_its_secrets_and_each_name_once() -> None:
    addresses = (
        f"tgram://123456789:{FOLDER}_{FOLDER}/12315544/",
        f"critical=json://desk:{PASSWORD}@127.0.0.1:1/{FOLDER}",
        f"json://desk:{PASSWORD}@127.0.0.1:1/other",
        f"mailto://desk:{PASSWORD}@example.com",
    )
    found = channels_at(alert_addresses(",".join(addresses)))
    names = [channel.name for channel in found]

    assert len(set(names)) == len(names)
    assert not any(secret in name for name in names for secret in (FOLDER, PASSWORD))
    assert [channel.minimum for channel in found] == [
        Severity.INFO, Severity.CRITICAL, Severity.INFO, Severity.INFO,
    ]  # fmt: skip


def test_an_address_that_apprise_does_not_know_is_named_by_its_number_only() -> None:
    with pytest.raises(SetupError) as refused:
        channels_at(alert_addresses(f"json://127.0.0.1/x nothing://{FOLDER}"))

    assert "address 2 (nothing://)" in str(refused.value)
    assert FOLDER not in str(refused.value)
