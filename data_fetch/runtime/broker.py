"""The broker of the workers: where keys of units are sent to."""

from urllib.parse import urlsplit

from celery import Celery
from sqlalchemy import make_url

from data_fetch.core.errors import SetupError
from data_fetch.core.ports import WorkQueue
from data_fetch.core.settings import Settings
from data_fetch.publishing.work_queue import CeleryQueue, celery_app

LOOPBACK = {"localhost", "127.0.0.1", "::1", ""}


def celery_for(settings: Settings) -> Celery:
    """The Celery application of the configured broker.

    Raises SetupError when there is none, or when workers elsewhere could not see the store.
    """
    if settings.celery_broker_url is None:
        raise SetupError(
            "there is no broker for workers: CELERY_BROKER_URL is not set",
            hint="Set it to redis://HOST:6379/1; without workers everything runs in one process: "
            "data-fetch run",
        )
    url = settings.celery_broker_url.get_secret_value()
    host = urlsplit(url).hostname or ""
    if make_url(settings.store_url).get_backend_name() == "sqlite" and host not in LOOPBACK:
        raise SetupError(
            f"the broker is on {host}, and the store is a file on this machine",
            hint="Workers on other machines need a shared store: set DATABASE_URL to PostgreSQL.",
        )
    backend = settings.celery_result_backend
    return celery_app(url, backend.get_secret_value() if backend else None, _queue_name(settings))


def queue_for(settings: Settings) -> WorkQueue:
    """The queue of the configured broker; raises SetupError as `celery_for` does."""
    return CeleryQueue(celery_for(settings))


def _queue_name(settings: Settings) -> str:
    """Of this world, and of this store where several share a Redis under prefixes."""
    return ".".join(filter(None, (settings.redis_prefix, "data-fetch", settings.world)))
