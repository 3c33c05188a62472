"""One scheduler or one command at one store: settings, provider, store."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from math import inf
from threading import Event, Thread

from data_fetch.core.clock import IST
from data_fetch.core.errors import DataFetchError
from data_fetch.core.market.calendar import unlisted_warning
from data_fetch.core.ports import WorkQueue
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.paper_exchange.shared import serving_exchange
from data_fetch.runtime.lead import GIVEN_UP_AFTER_SECONDS, LeadKeeper
from data_fetch.runtime.reporting import ProgressReporter
from data_fetch.runtime.run_stores import ChosenStore
from data_fetch.runtime.service_manager import notify, status
from data_fetch.runtime.stores import store_for
from data_fetch.runtime.world import ProviderConnection, master_for, provider_for
from data_fetch.storage.database.leadership import Leadership
from data_fetch.storage.database.store import Guard, Store
from data_fetch.storage.runs import mark_interrupted

log = logging.getLogger("data_fetch.data_scheduler")

# A new master of the morning is there long before the market opens.
MASTER_SECONDS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorContext:
    """Settings, provider and store for as long as one scheduler leads the store.

    *leads* returns at once: whether it does, as of a moment ago. *replaceable*: another store
    stands in when this one cannot be used; *outage*: why this one stands in. With a *queue*
    workers do what need not be done in this process.
    """

    settings: Settings
    provider: ProviderConnection
    store: Store
    replaceable: bool = False
    outage: str | None = None
    guard: Guard | None
    leads: Callable[[], bool]
    running_since: datetime
    stop: Event
    queue: WorkQueue | None = None


@contextmanager
def context_for(
    settings: Settings, chosen: ChosenStore, stop: Event, reporter: ProgressReporter
) -> Iterator[CollectorContext | None]:
    """A context once the store is ours; None when *stop* is set while waiting for it.

    Raises StoreUnreachable at the end when the store could not be written to. While another one
    can stand in, *stop* is set soon then.
    """
    store = chosen.store
    leadership, leads = Leadership(store), Event()

    def on_wait() -> None:
        leader = leadership.leader()
        why = f"another scheduler, {leader}, collects into it" if leader else "it does not answer"
        waiting = f"Waiting for {store.name}: {why}."
        reporter.message(waiting)
        notify(status(waiting))
        Thread(target=_keep_master, args=(settings, leads), daemon=True).start()

    fence = leadership.acquire(stop, on_wait)
    leads.set()
    if fence is None:
        yield None
        return
    with (
        LeadKeeper(
            leadership,
            store.name,
            reporter.message,
            lost=stop,
            give_up_after=GIVEN_UP_AFTER_SECONDS if chosen.replaceable else inf,
        ) as lead,
        provider_for(settings, serving_exchange) as provider,
    ):
        _warn(settings, provider, reporter)
        mark_interrupted(store, provider.clock.now(), fence)
        yield CollectorContext(
            settings=settings,
            provider=provider,
            store=store,
            replaceable=chosen.replaceable,
            outage=chosen.outage,
            guard=fence,
            leads=lead.leads,
            running_since=provider.clock.now(),
            stop=stop,
        )


def _keep_master(settings: Settings, leads: Event) -> None:
    """Keep today's instrument master at hand: who takes over at the end of a minute has no time
    to fetch and to check it."""
    while True:
        try:
            with master_for(settings) as master:
                master.today()
        except DataFetchError as problem:
            # The next look may succeed, and the take-over itself looks again.
            log.warning("no_master_yet", extra={"problem": problem.message})
        if leads.wait(MASTER_SECONDS):
            return


@contextmanager
def one_off_context(settings: Settings) -> Iterator[CollectorContext]:
    """The context of one command, beside a running collector perhaps."""
    store = store_for(settings)
    try:
        with provider_for(settings) as provider:
            mark_interrupted(store, provider.clock.now())
            yield CollectorContext(
                settings=settings,
                provider=provider,
                store=store,
                guard=None,
                leads=lambda: True,
                running_since=provider.clock.now(),
                stop=Event(),
            )
    finally:
        store.close()


def _warn(settings: Settings, provider: ProviderConnection, reporter: ProgressReporter) -> None:
    """Report what is likely to fail later."""
    today = provider.clock.now().astimezone(IST).date()
    if (unlisted := unlisted_warning(provider.calendar, today)) is not None:
        reporter.message(f"Warning: {unlisted}.")
    if settings.ignored_mongo_name is not None:
        reporter.message(
            f"Warning: {settings.ignored_mongo_name} is set, but the store is SQL "
            f"({settings.world} world). To import: docs/howto/coming-from-the-scripts.md"
        )
    if settings.world is World.LIVE and settings.token_in_environment:
        reporter.message(
            "Warning: UPSTOX_ACCESS_TOKEN is set in the process environment. It wins over .env "
            "and cannot be renewed there without a restart; put it into .env instead."
        )
    elif settings.world is World.LIVE and not provider.token.held:
        reporter.message(
            "Warning: there is no access token. Log in with data-fetch login, or put "
            "UPSTOX_ACCESS_TOKEN into .env; no restart is needed."
        )
    elif settings.world is World.LIVE and provider.token.expires_at() is None:
        reporter.message("The token has no expiry time in it; daily tokens end at 03:30 IST.")
