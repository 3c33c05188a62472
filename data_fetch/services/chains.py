"""Polls the option chains of one underlying: fetches, prices and records them.

Sources are tried in order; a chain that one lacks is requested from the next, and the row names
its source. A chain without new content is not priced again, only confirmed.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial
from threading import Event, Lock, Semaphore

from data_fetch.archive.raw_responses import RawResponseStore, StoredResponse
from data_fetch.core.chains.chains import Chain, ChainReply, ChainSource, RawResponse
from data_fetch.core.chains.polling import Target
from data_fetch.core.chains.polls import Poll, PolledMinute
from data_fetch.core.chains.source_health import OUTAGES, SourceHealth
from data_fetch.core.clock import minute_of
from data_fetch.core.errors import DataFetchError, Stopped
from data_fetch.core.failures import FailureKind
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.ports import ChainProvider, Clock
from data_fetch.services.chain_enrichment import ChainEnricher, ParsedResponse
from data_fetch.services.kept_writes import keep_writing
from data_fetch.storage.chains.snapshots import ChainStore, Confirmation, Received

log = logging.getLogger(__name__)

# So many of the workers of `chain_jobs` may wait for a source that is not the first.
FALLBACKS_AT_ONCE = 3
# A poll that began in a minute has ended after so long; then the minute's audit row is final.
LONGEST_POLL = timedelta(minutes=10)


class ChainService:
    """Polls *providers* in their order, prices new chains and records them. Thread-safe.

    A minute has one audit row, which grows with the polls that began in it. *report* receives a
    line for people when raw responses can no longer be stored, and when they can again.
    """

    def __init__(
        self,
        *,
        providers: Sequence[ChainProvider],
        chains: ChainStore,
        enricher: ChainEnricher,
        raw_store: RawResponseStore,
        stored_expiries: Callable[[Instrument], Sequence[date]],
        calendar: MarketCalendar,
        clock: Clock,
        stop: Event,
        report: Callable[[str], None],
    ) -> None:
        self._providers = providers
        self._stored_expiries = stored_expiries
        self._chains = chains
        self._enricher = enricher
        self._raw_store = raw_store
        self._calendar = calendar
        self._clock = clock
        self._stop = stop
        self._report = report
        self._health = SourceHealth([each.source for each in providers])
        self._fallbacks = Semaphore(FALLBACKS_AT_ONCE)
        self._raw_store_fails = False
        self._recording = Lock()
        self._minutes: dict[datetime, PolledMinute] = {}

    def counts(self) -> tuple[int, int]:
        """How many snapshots and legs the store holds."""
        held = self._chains.holdings()
        return held.snapshots, held.legs

    @property
    def first_source(self) -> ChainSource:
        """The source that is tried first."""
        return self._providers[0].source

    @property
    def answering(self) -> ChainSource:
        """The source that returns most chains now: the first one that works."""
        return self._health.answering

    def poll(self, target: Target) -> Poll:
        """Request the chains of *target* and record the result, a failure as well.

        Raises Stopped when stopped before any chain was received, and what the store raises.
        """
        poll = Poll(target.underlying.symbol, self._clock.now())
        try:
            self._request(target, poll)
        except Stopped as stopped:
            if not poll.replies:
                raise
            poll.problem = stopped
        new: list[ParsedResponse] = []
        confirmed: list[Confirmation] = []
        for reply in poll.replies:
            unknown, known = self._split_known(reply)
            new.append(_response(reply, unknown))
            confirmed += known
        self._record(poll, new, confirmed)
        _log(poll)
        return poll

    def _request(self, target: Target, poll: Poll) -> None:
        """Fill *poll* with replies: each expiry from the first source that has its chain."""
        missing: Sequence[date] | None = None
        for provider in self._providers:
            if self._skipped(provider, poll):
                continue
            with self._turn_at(provider, poll) as has_turn:
                if not has_turn:
                    continue
                due = self._due(provider, target, poll) if missing is None else missing
                if not due:
                    continue
                poll.requested = max(poll.requested, len(due))
                missing = [day for day in due if not self._fetch(provider, target, day, poll)]
            if not missing:
                return
        poll.requested = poll.requested or target.expiries

    @contextmanager
    def _turn_at(self, provider: ChainProvider, poll: Poll) -> Iterator[bool]:
        """Whether *poll* may wait for *provider* now: symbols that fail at the first source must
        not keep every worker waiting for a slower one."""
        first = self._providers[0]
        if provider is first or self._health.out(first.source):
            yield True
        elif self._fallbacks.acquire(blocking=False):
            try:
                yield True
            finally:
                self._fallbacks.release()
        else:
            poll.failures[provider.source] = FailureKind.RATE_LIMITED
            yield False

    def _due(self, provider: ChainProvider, target: Target, poll: Poll) -> Sequence[date]:
        """The expiry of *target*, else the nearest that are not over; none when the source is down.

        One that closes this minute is not over: its last poll is at its close. When no later
        expiry is listed, the last one is still polled.
        """
        if target.expiry is not None:
            return [target.expiry]
        listed = self._listed(provider, target.underlying, poll)
        minute = minute_of(poll.begun_at)
        running = [day for day in listed if self._calendar.expiry_close(day).at >= minute]
        return running[: target.expiries] or listed[-1:]

    def _listed(
        self, provider: ChainProvider, underlying: Instrument, poll: Poll
    ) -> Sequence[date]:
        """The expiries that the source lists, else those of the instrument master."""
        listed = provider.expiries(underlying, self._stop)
        poll.requests += listed.requests
        self._store_raw(provider, poll, None, listed.raw_responses)
        if listed.problem is None:
            return listed.expiries
        if isinstance(listed.problem, Stopped):
            raise listed.problem
        self._failed(provider.source, listed.problem, poll)
        down = poll.failures[provider.source] in OUTAGES
        return () if down else self._stored_expiries(underlying)

    def _fetch(self, provider: ChainProvider, target: Target, expiry: date, poll: Poll) -> bool:
        """Request one chain; return whether it was received."""
        reply = provider.chain(target.underlying, expiry, self._stop)
        poll.requests += reply.requests
        self._store_raw(provider, poll, expiry, reply.raw_responses)
        if isinstance(reply.problem, Stopped):
            raise reply.problem
        if reply.problem is not None:
            self._failed(provider.source, reply.problem, poll)
            return False
        assert reply.parsed is not None
        self._health.works(provider.source, poll.symbol)
        poll.replies.append(replace(reply, parsed=reply.parsed.around_the_money(target.strikes)))
        return True

    def _store_raw(
        self,
        provider: ChainProvider,
        poll: Poll,
        expiry: date | None,
        bodies: Sequence[RawResponse],
    ) -> None:
        """Append raw responses. A failure costs nothing else: the chains are stored anyway."""
        try:
            self._raw_store.append(
                [StoredResponse(provider.source, poll.symbol, expiry, each) for each in bodies]
            )
        except OSError as problem:
            poll.notes.append(f"raw responses are not stored: {problem.strerror}")
            if not self._raw_store_fails:
                self._report(
                    f"Raw chain responses are not stored ({problem}); their chains are. Free "
                    "disk space, or switch raw responses off with RAW_VAULT_DAYS=0."
                )
            self._raw_store_fails = True
            return
        if bodies and self._raw_store_fails:
            self._raw_store_fails = False
            self._report("Raw chain responses are stored again.")

    def _failed(self, source: ChainSource, problem: DataFetchError, poll: Poll) -> None:
        poll.failed(source, problem)
        self._health.failed(source, poll.symbol, problem, self._clock.now())

    def _skipped(self, provider: ChainProvider, poll: Poll) -> bool:
        problem = self._health.skip(provider.source, poll.symbol, self._clock.now())
        if problem is not None:
            poll.failed(provider.source, problem)
        return problem is not None

    def _split_known(self, reply: ChainReply) -> tuple[list[Chain], list[Confirmation]]:
        """The chains of *reply* with new content, and confirmations of the others."""
        assert reply.parsed is not None
        known = self._chains.known(reply.parsed.chains, reply.received_at)
        unknown = [
            chain for chain, same in zip(reply.parsed.chains, known, strict=True) if same is None
        ]
        return unknown, [same for same in known if same is not None]

    def _record(
        self,
        poll: Poll,
        new: Sequence[ParsedResponse],
        confirmed: Sequence[Confirmation],
    ) -> None:
        received = self._enricher.received(new)
        poll.stored, poll.confirmed = len(received), len(confirmed)
        # One poll after the other: they share the audit row of the minute.
        with self._recording:
            minute = self._minute_of(poll).with_poll(poll, self._clock.now(), self.answering)
            attempt = poll.attempt(minute.run_id)
            store = self._chains.record
            recorded = keep_writing(
                partial(store, received, minute.run, [attempt], confirmed), self._clock
            )
            again = self._superseded(poll, {each.expiry for each in recorded.superseded})
            if again:
                poll.stored, poll.confirmed = poll.stored + len(again), poll.confirmed - len(again)
                minute = replace(
                    minute,
                    stored=minute.stored + len(again),
                    confirmed=minute.confirmed - len(again),
                )
                keep_writing(partial(store, again, minute.run, []), self._clock)
            self._minutes[minute.slot] = minute

    def _minute_of(self, poll: Poll) -> PolledMinute:
        """The sum so far of the minute in which *poll* began."""
        slot = minute_of(poll.begun_at)
        self._minutes = {
            each: minute for each, minute in self._minutes.items() if each > slot - LONGEST_POLL
        }
        return self._minutes.get(slot) or PolledMinute.of(poll.begun_at)

    def _superseded(self, poll: Poll, superseded: Collection[date]) -> list[Received]:
        """Chains that looked known until another writer stored other content."""
        return self._enricher.received(
            [
                _response(reply, [each for each in chains if each.expiry in superseded])
                for reply in poll.replies
                for chains in [reply.parsed.chains if reply.parsed else ()]
            ]
        )


def _response(reply: ChainReply, chains: Sequence[Chain]) -> ParsedResponse:
    assert reply.parsed is not None
    return ParsedResponse(
        chains=chains,
        received_at=reply.received_at,
        rejected=reply.parsed.rejected,
    )


def _log(poll: Poll) -> None:
    facts = {"symbol": poll.symbol, "asked": poll.requested, "requests": poll.requests}
    failures = {source.value: failure.value for source, failure in poll.failures.items()}
    counts = {"stored": poll.stored, "confirmed": poll.confirmed, "faults": failures or None}
    log.info("chains", extra={**facts, **counts})
