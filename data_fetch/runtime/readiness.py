"""Finds out what a readiness check looks at: token, provider, store, disk, calendar, master."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property

from data_fetch.core.chains.chains import RawResponse
from data_fetch.core.clock import IST
from data_fetch.core.errors import DataFetchError, TokenRejected
from data_fetch.core.instruments.universe import Universe
from data_fetch.core.market.calendar import Session, TradingGroup
from data_fetch.core.market.session import instant_of
from data_fetch.core.market.table import Segment
from data_fetch.core.ports import Lane
from data_fetch.core.readiness import (
    Finding,
    Readiness,
    Verdict,
    judge_clock,
    judge_disk,
    judge_master,
    judge_rate_windows,
    judge_session,
    judge_store,
    judge_symbols,
    judge_token,
)
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.runtime.calendars import calendar_for
from data_fetch.runtime.context import CollectorContext
from data_fetch.runtime.login import PROOF_EXCHANGE
from data_fetch.runtime.provider_token import NOT_NEEDED, PAPER_TOKEN
from data_fetch.runtime.reporting import ProgressReporter
from data_fetch.runtime.stores import degraded_reason, store_for
from data_fetch.runtime.world import ProviderConnection, provider_for
from data_fetch.services.readiness import Checks, ReadinessService, readiness_of
from data_fetch.services.universe import known_universe
from data_fetch.sources.instruments.master import master_day
from data_fetch.sources.instruments.symbols_file import FoStocksLoader
from data_fetch.sources.transport.recording import RecordingRequestContext
from data_fetch.sources.upstox.token import RENEW
from data_fetch.storage.database.store import Store

OpenedStore = Callable[[], AbstractContextManager[Store]]


def readiness_checks(
    settings: Settings, provider: ProviderConnection, opened: OpenedStore
) -> Checks:
    """The checks of the present trading day, by name; *opened* opens the store.

    One request is sent, in the lane of live data.
    """
    facts = _Facts(settings, provider, opened)
    of_upstox = {
        "token": facts.token,
        "provider": facts.provider_answers,
        "limits": facts.rate_windows,
        "clock": facts.clock,
    }
    with_prices = {"master": facts.master, "symbols": facts.symbols}
    others = {"calendar": facts.calendar, "store": facts.store, "disk": facts.disk}
    if settings.data_source == "nse":
        # NSE's site has chains and holidays, and nothing else.
        return others
    return {**of_upstox, **others, **with_prices}


def readiness_now(settings: Settings) -> Readiness:
    """The findings of this moment. One request is sent; nothing is stored."""
    with provider_for(settings) as provider:
        checks = readiness_checks(settings, provider, lambda: closing(store_for(settings)))
        return readiness_of(checks, provider.clock.now())


def readiness_at(context: CollectorContext, reporter: ProgressReporter) -> ReadinessService:
    """The service that checks each trading day before its open."""
    return ReadinessService(
        checks=lambda: readiness_checks(
            context.settings, context.provider, lambda: nullcontext(context.store)
        ),
        store=context.store,
        guard=context.guard,
        clock=context.provider.clock,
        report=reporter.message,
    )


class _Facts:
    def __init__(
        self, settings: Settings, provider: ProviderConnection, opened: OpenedStore
    ) -> None:
        self._settings = settings
        self._provider = provider
        self._opened = opened
        self._now = provider.clock.now()

    def token(self) -> Finding:
        problem = self._proof[1]
        if isinstance(problem, TokenRejected):
            raise problem
        token = self._provider.token.in_use
        if token.value == PAPER_TOKEN:
            return Finding("token", Verdict.OK, NOT_NEEDED)
        _, closes_at = self._hours
        found = judge_token(token, closes_at or self._now, self._now, f"{RENEW}.")
        if problem is not None and found.verdict is Verdict.OK:
            return Finding("token", Verdict.WARNING, f"{found.message}; not tried")
        return found

    def provider_answers(self) -> Finding:
        problem = self._proof[1]
        if problem is not None and not isinstance(problem, TokenRejected):
            raise problem
        return Finding("provider", Verdict.OK, f"{self._provider.base_url} answers")

    def rate_windows(self) -> Finding:
        opens_at, _ = self._hours
        return judge_rate_windows(self._provider.pacer.unknown_until(), opens_at)

    def clock(self) -> Finding:
        """Compare with the Date header of the proof, which is exact to a second."""
        if self._settings.world is World.PAPER:
            return Finding("clock", Verdict.OK, "the paper exchange's clock is used")
        offset = _offset_of(self._proof[0])
        if offset is None:
            return Finding("clock", Verdict.WARNING, "the provider sent no time to compare with")
        return judge_clock(offset)

    def calendar(self) -> Finding:
        calendar = calendar_for(self._settings)
        return judge_session(self._sessions, calendar.refreshed_at, self._now)

    def store(self) -> Finding:
        with self._opened() as store:
            store.try_writing()
            return judge_store(store.name, degraded_reason(self._settings))

    def disk(self) -> Finding:
        settings = self._settings
        folders = {settings.data_folder, settings.archive_folder or settings.data_folder}
        existing = {next(p for p in (each, *each.parents) if p.is_dir()) for each in folders}
        return judge_disk({str(each): shutil.disk_usage(each).free for each in existing})

    def master(self) -> Finding:
        found = self._provider.master.today()
        return judge_master(found.as_of, master_day(self._now), found.warning)

    def symbols(self) -> Finding:
        with self._opened() as store:
            universe = self._universe_in(store)
        if universe is None:
            message = "not resolved yet for today"
            return Finding(
                "symbols", Verdict.WARNING, message, "A collector does so when it starts."
            )
        unresolved = [missing.symbol for missing in universe.unresolved]
        return judge_symbols(universe.listed, unresolved)

    def _universe_in(self, store: Store) -> Universe | None:
        loader = FoStocksLoader(lambda: self._settings)
        return known_universe(loader, store, self._now, lambda _: None)

    @cached_property
    def _proof(self) -> tuple[RawResponse | None, DataFetchError | None]:
        """The response to one request with the token, and what is wrong with it."""
        context = RecordingRequestContext.begin(Lane.LIVE, self._now)
        problem: DataFetchError | None = None
        try:
            self._provider.api.market_status(PROOF_EXCHANGE, context)
        except DataFetchError as found:
            problem = found
        responses = context.raw_responses
        return responses[-1] if responses else None, problem

    @property
    def _sessions(self) -> list[Session]:
        """Those of all segments, today."""
        calendar, today = calendar_for(self._settings), self._now.astimezone(IST).date()
        return [
            calendar.session(today, TradingGroup(segment, auction=False)) for segment in Segment
        ]

    @property
    def _hours(self) -> tuple[datetime | None, datetime | None]:
        """When the first segment opens today and the last one closes; None on other days."""
        spans = [span for session in self._sessions for span in session.spans]
        if not spans:
            return None, None
        return (
            instant_of(min(first for first, _ in spans)),
            instant_of(max(end for _, end in spans)),
        )


def _offset_of(response: RawResponse | None) -> timedelta | None:
    """How far this machine's clock is ahead of the Date header of *response*."""
    if response is None:
        return None
    try:
        headers = {name.lower(): value for name, value in response.headers.items()}
        return response.received_at - parsedate_to_datetime(headers["date"])
    except (KeyError, TypeError, ValueError):
        return None
