"""Option chains of one underlying at a time: asked for, priced, recorded.

Sources are asked in order; what one cannot tell the next one is asked for, and the row says
whose word it is. A chain that tells nothing new is not priced again, only confirmed.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from threading import Event, Lock, Semaphore

from data_fetch.archive.raw_responses import RawResponseStore, StoredResponse
from data_fetch.core.chains.chains import Chain, ChainReply, ChainSource, RawResponse
from data_fetch.core.chains.polls import Poll, PolledMinute
from data_fetch.core.clock import minute_of
from data_fetch.core.errors import DataFetchError, Stopped
from data_fetch.core.failures import FailureKind
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.ports import ChainProvider, Clock
from data_fetch.services.chain_enrichment import ChainEnricher, ParsedResponse
from data_fetch.storage.chains.snapshots import ChainStore, Confirmation, Received

log = logging.getLogger(__name__)

# A source in trouble is left alone for so long while another one answers, and for so long while
# there is no other: then one look in that time finds out whether it is well again.
REST = timedelta(seconds=60)
REST_ALONE = timedelta(seconds=10)
# Trouble of the source as a whole, and trouble that may be about one symbol only.
OUTAGES = frozenset(
    {
        FailureKind.UNAUTHORISED,
        FailureKind.FORBIDDEN,
        FailureKind.UNREACHABLE,
        FailureKind.RATE_LIMITED,
        FailureKind.SWITCHED_OFF,
    }
)
TROUBLE = OUTAGES | {FailureKind.SERVER_ERROR}
EVERY_SYMBOL = ""
# So many polls at once may wait for a source that is not the first, of `chain_rounds.WORKERS`.
FALLBACKS_AT_ONCE = 3
# After so long nothing is added to the audit row of a minute any more.
LONGEST_POLL = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class _Backoff:
    """Since when a source is left alone, and why."""

    since: datetime
    failure: FailureKind
    problem: DataFetchError


@dataclass(frozen=True, slots=True)
class Target:
    """What to poll of one underlying: how many expiries, nearest first, and how many strikes of
    each on both sides of the money (None: all)."""

    underlying: Instrument
    expiries: int = 1
    strikes: int | None = None


class ChainService:
    """Asks *providers* in their order, prices what is new, records it. Safe between threads.

    A minute has one audit row, which grows with the polls that were begun in it. *report* gets a
    line for people when answers can no longer be kept as they came, and when they can again.
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
        self._rests: dict[tuple[ChainSource, str], _Backoff] = {}
        self._fallbacks = Semaphore(FALLBACKS_AT_ONCE)
        self._keeping_fails = False
        self._recording = Lock()
        self._minutes: dict[datetime, PolledMinute] = {}

    def counts(self) -> tuple[int, int]:
        """How many snapshots and legs the store holds."""
        held = self._chains.holdings()
        return held.snapshots, held.legs

    def poll(self, target: Target) -> Poll:
        """Ask for the chains of *target* and record what came; a failure is recorded as well.

        Raises Stopped when told to stop before anything came, and what the store raises.
        """
        poll = Poll(target.underlying.symbol, self._clock.now())
        try:
            self._ask(target, poll)
        except Stopped as stopped:
            if not poll.replies:
                raise
            poll.problem = stopped
        news: list[ParsedResponse] = []
        confirmed: list[Confirmation] = []
        for reply in poll.replies:
            unknown, known = self._sorted(reply)
            news.append(_told(reply, unknown))
            confirmed += known
        self._record(poll, news, confirmed)
        _tell(poll)
        return poll

    def _ask(self, target: Target, poll: Poll) -> None:
        """Fill *poll* with replies: each expiry from the first source that tells it."""
        missing: Sequence[date] | None = None
        for provider in self._awake(poll):
            with self._place_at(provider, poll) as there_is_one:
                if not there_is_one:
                    continue
                wanted = self._due(provider, target, poll) if missing is None else missing
                if not wanted:
                    continue
                poll.requested = max(poll.requested, len(wanted))
                missing = [day for day in wanted if not self._tells(provider, target, day, poll)]
            if not missing:
                return
        poll.requested = poll.requested or target.expiries

    @contextmanager
    def _place_at(self, provider: ChainProvider, poll: Poll) -> Iterator[bool]:
        """Whether *poll* may wait for *provider* now: symbols that the first source fails must not
        keep everybody who polls waiting for a slower one."""
        first = self._providers[0]
        if provider is first or self._rest(first, EVERY_SYMBOL, REST) is not None:
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
        """The nearest expiries that are not over; none when the source is out.

        One that closes this very minute is not: the last look is at its close. Where nothing
        later is listed the last one is still told.
        """
        listed = self._listed(provider, target.underlying, poll)
        minute = minute_of(poll.begun_at)
        running = [day for day in listed if self._calendar.expiry_close(day).at >= minute]
        return running[: target.expiries] or listed[-1:]

    def _listed(
        self, provider: ChainProvider, underlying: Instrument, poll: Poll
    ) -> Sequence[date]:
        """As the source lists them; as the instrument master does, where the source cannot."""
        listed = provider.expiries(underlying, self._stop)
        poll.requests += listed.requests
        self._keep(provider, poll, None, listed.raw_responses)
        if listed.problem is None:
            return listed.expiries
        if isinstance(listed.problem, Stopped):
            raise listed.problem
        self._failed(provider.source, listed.problem, poll)
        out = poll.failures[provider.source] in OUTAGES
        return () if out else self._stored_expiries(underlying)

    def _tells(self, provider: ChainProvider, target: Target, expiry: date, poll: Poll) -> bool:
        """Ask for one chain; whether there was one."""
        reply = provider.chain(target.underlying, expiry, self._stop)
        poll.requests += reply.requests
        self._keep(provider, poll, expiry, reply.raw_responses)
        if isinstance(reply.problem, Stopped):
            raise reply.problem
        if reply.problem is not None:
            self._failed(provider.source, reply.problem, poll)
            return False
        assert reply.parsed is not None
        poll.replies.append(replace(reply, parsed=reply.parsed.around_the_money(target.strikes)))
        return True

    def _keep(
        self,
        provider: ChainProvider,
        poll: Poll,
        expiry: date | None,
        bodies: Sequence[RawResponse],
    ) -> None:
        """Into the vault, if that can be: what is polled goes into the store in any case."""
        try:
            self._raw_store.append(
                [StoredResponse(provider.source, poll.symbol, expiry, each) for each in bodies]
            )
        except OSError as problem:
            poll.notes.append(f"answers are not kept: {problem.strerror}")
            if not self._keeping_fails:
                self._report(
                    f"Chains: answers are not kept as they came ({problem}). Make room, or switch "
                    "it off with RAW_VAULT_DAYS=0; what they tell is stored all the same."
                )
            self._keeping_fails = True
            return
        if bodies and self._keeping_fails:
            self._keeping_fails = False
            self._report("Chains: answers are kept again.")

    def _failed(self, source: ChainSource, problem: DataFetchError, poll: Poll) -> None:
        failure = problem.kind
        poll.failures[source] = failure
        poll.problem = problem
        if failure in TROUBLE:
            whose = EVERY_SYMBOL if failure in OUTAGES else poll.symbol
            self._rests[source, whose] = _Backoff(self._clock.now(), failure, problem)

    def _awake(self, poll: Poll) -> Sequence[ChainProvider]:
        """The sources to ask: those that rest only when there is no other, and then seldom."""
        resting: dict[ChainSource, _Backoff] = {}
        for length in (REST, REST_ALONE):
            resting = {
                one.source: rest
                for one in self._providers
                for rest in [
                    self._rest(one, EVERY_SYMBOL, length) or self._rest(one, poll.symbol, length)
                ]
                if rest is not None
            }
            if len(resting) < len(self._providers):
                break
        for source, rest in resting.items():
            poll.failures[source], poll.problem = rest.failure, rest.problem
        return [one for one in self._providers if one.source not in resting]

    def _rest(self, provider: ChainProvider, whose: str, length: timedelta) -> _Backoff | None:
        rest = self._rests.get((provider.source, whose))
        return rest if rest is not None and self._clock.now() < rest.since + length else None

    def _sorted(self, reply: ChainReply) -> tuple[list[Chain], list[Confirmation]]:
        """The chains of *reply* that are news, and confirmations of those that are not."""
        assert reply.parsed is not None
        known = self._chains.known(reply.parsed.chains, reply.received_at)
        unknown = [
            chain for chain, same in zip(reply.parsed.chains, known, strict=True) if same is None
        ]
        return unknown, [same for same in known if same is not None]

    def _record(
        self,
        poll: Poll,
        told: Sequence[ParsedResponse],
        confirmed: Sequence[Confirmation],
    ) -> None:
        news = self._enricher.received(told)
        poll.stored, poll.confirmed = len(news), len(confirmed)
        # One after the other: they share the audit row of the minute.
        with self._recording:
            minute = self._minute_of(poll).with_poll(poll, self._clock.now())
            attempt = poll.attempt(minute.run_id)
            recorded = self._chains.record(news, minute.run, [attempt], confirmed)
            late = self._late(poll, {each.expiry for each in recorded.superseded})
            if late:
                poll.stored, poll.confirmed = poll.stored + len(late), poll.confirmed - len(late)
                minute = replace(
                    minute,
                    stored=minute.stored + len(late),
                    confirmed=minute.confirmed - len(late),
                )
                self._chains.record(late, minute.run, [])
            self._minutes[minute.slot] = minute

    def _minute_of(self, poll: Poll) -> PolledMinute:
        """What was polled so far in the minute in which *poll* was begun."""
        slot = minute_of(poll.begun_at)
        self._minutes = {
            each: minute for each, minute in self._minutes.items() if each > slot - LONGEST_POLL
        }
        return self._minutes.get(slot) or PolledMinute.of(poll.begun_at)

    def _late(self, poll: Poll, superseded: Collection[date]) -> list[Received]:
        """Chains that were taken for known, though another writer came between."""
        return self._enricher.received(
            [
                _told(reply, [each for each in chains if each.expiry in superseded])
                for reply in poll.replies
                for chains in [reply.parsed.chains if reply.parsed else ()]
            ]
        )


def _told(reply: ChainReply, chains: Sequence[Chain]) -> ParsedResponse:
    assert reply.parsed is not None
    return ParsedResponse(
        chains=chains,
        received_at=reply.received_at,
        rejected=len(reply.parsed.rejected),
    )


def _tell(poll: Poll) -> None:
    facts = {"symbol": poll.symbol, "asked": poll.requested, "requests": poll.requests}
    failures = {source.value: failure.value for source, failure in poll.failures.items()}
    told = {"stored": poll.stored, "confirmed": poll.confirmed, "faults": failures or None}
    log.info("chains", extra={**facts, **told})
