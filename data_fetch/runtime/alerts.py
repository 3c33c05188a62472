"""Builds what watches a store and alerts."""

from collections.abc import Callable

from data_fetch.alerts.channels import Channel, channels_at
from data_fetch.alerts.facts import AlertFacts
from data_fetch.core.clock import SystemClock
from data_fetch.core.errors import SetupError
from data_fetch.core.settings import Settings
from data_fetch.runtime.stores import store_for
from data_fetch.services.alerts import AlertService


def alert_channels(settings: Settings) -> list[Channel]:
    """The channels of ALERT_URLS. Raises SetupError without any, and for one that is none."""
    if not settings.alert_urls:
        raise SetupError(
            "no alert can be sent: ALERT_URLS is not set",
            hint="Set it in .env, for example ALERT_URLS=tgram://TOKEN/CHAT "
            "(docs/howto/get-alerts.md).",
        )
    return channels_at(settings.alert_urls)


def alert_service(settings: Settings, facts: Callable[[], AlertFacts]) -> AlertService:
    """The service that reports the alerts of *facts* to the configured channels."""
    return AlertService(
        facts=facts,
        opened=lambda: store_for(settings),
        channels=alert_channels(settings),
        world=settings.world,
        clock=SystemClock(),
    )
