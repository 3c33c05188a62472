"""What is sent to a service manager, and how often it wants to hear from a process."""

import logging
import os
from collections.abc import Iterator
from datetime import timedelta

import pytest
from service_managers import ServiceManager, abstract_service_manager, service_manager

from data_fetch.runtime.service_manager import ALIVE, READY, notify, sign_interval, status

OWN, ANOTHER = str(os.getpid()), str(os.getpid() + 1)


@pytest.fixture(params=[service_manager, abstract_service_manager])
def manager(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ServiceManager]:
    with request.param() as manager:
        monkeypatch.setenv("NOTIFY_SOCKET", manager.name)
        yield manager


def test_reports_arrive_together(manager: ServiceManager) -> None:
    notify(READY, status("Collecting\nevery  minute"))

    assert manager.next_report() == ["READY=1", "STATUS=Collecting every minute"]


@pytest.mark.parametrize("name", [None, ""])
def test_without_a_service_manager_nothing_is_sent(
    name: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if name is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", name)

    notify(ALIVE)

    assert caplog.records == []


def test_a_service_manager_that_has_gone_is_logged_and_the_work_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with service_manager() as gone:
        monkeypatch.setenv("NOTIFY_SOCKET", gone.name)

    notify(ALIVE)

    assert [(record.levelno, record.message) for record in caplog.records] == [
        (logging.WARNING, "not_notified")
    ]


@pytest.mark.parametrize("manager", [service_manager], indirect=True)
def test_a_service_manager_that_reads_nothing_holds_nothing_up(
    manager: ServiceManager, caplog: pytest.LogCaptureFixture
) -> None:
    while not caplog.records:
        notify(ALIVE)

    assert "temporarily unavailable" in caplog.records[0].__dict__["problem"]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": ""}, None),
        ({"WATCHDOG_USEC": "300000000"}, timedelta(seconds=150)),
        ({"WATCHDOG_USEC": "300000000", "WATCHDOG_PID": OWN}, timedelta(seconds=150)),
        # It was inherited by a process that the service has started.
        ({"WATCHDOG_USEC": "300000000", "WATCHDOG_PID": ANOTHER}, None),
    ],
)
def test_a_sign_of_life_is_due_twice_in_the_time_that_is_allowed(
    environment: dict[str, str], expected: timedelta | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert sign_interval() == expected
