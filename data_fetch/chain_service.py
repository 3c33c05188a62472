"""Option chains of one underlying at a time: asked for, priced, recorded.

Sources are asked in order; what one cannot tell the next one is asked for, and the row says
whose word it is. A chain that tells nothing new is not priced again, only confirmed.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from threading import Event, Lock

from data_fetch.chain_enricher import ChainEnricher, Told, around_the_money
from data_fetch.core.chain_polls import Poll, PolledMinute
from data_fetch.core.chains import Chain, ChainReply, ChainSource, Fault, Payload, fault_of
from data_fetch.core.errors import DataFetchError, OutsideError, RequestRefused, Stopped
from data_fetch.core.market import MarketCalendar
from data_fetch.core.ports import ChainProvider, Clock
from data_fetch.core.records import Instrument
from data_fetch.storage.chains import ChainStore, Confirmation, Received
from data_fetch.storage.vault import Kept, Vault

log = logging.getLogger(__name__)

# A source in trouble is left alone for so long, as long as another one answers.
REST = timedelta(seconds=60)
# Trouble of the source as a whole, and trouble that may be about one symbol only.
OUTAGES = frozenset(
    {
        Fault.UNAUTHORISED,
        Fault.FORBIDDEN,
        Fault.UNREACHABLE,
        Fault.RATE_LIMITED,
        Fault.SWITCHED_OFF,
    }
)
TROUBLE = OUTAGES | {Fault.SERVER_ERROR}
EVERY_SYMBOL = ""


@dataclass(frozen=True, slots=True)
class _Rest:
    """Why a source is left alone, and until when."""

    until: datetime
    fault: Fault


@dataclass(frozen=True, slots=True)
class Target:
    """What to poll of one underlying: how many expiries, nearest first, and how many strikes on
    each side of the money are kept (None: all)."""

    underlying: Instrument
    expiries: int = 1
    strikes: int | None = None


class ChainService:
    """Asks *providers* in their order, prices what is new, records it. Safe between threads.

    A minute has one audit row, which grows with the polls in it.
    """

    def __init__(
        self,
        *,
        providers: Sequence[ChainProvider],
        chains: ChainStore,
        enricher: ChainEnricher,
        vault: Vault,
        stored_expiries: Callable[[Instrument], Sequence[date]],
        calendar: MarketCalendar,
        clock: Clock,
        stop: Event,
    ) -> None:
        self._providers = providers
        self._stored_expiries = stored_expiries
        self._chains = chains
        self._enricher = enricher
        self._vault = vault
        self._calendar = calendar
        self._clock = clock
        self._stop = stop
        self._rests: dict[tuple[ChainSource, str], _Rest] = {}
        self._recording = Lock()
        self._minute = PolledMinute.of(clock.now())

    def poll(self, target: Target) -> Poll:
        """Ask for the chains of *target* and record what came; a failure is recorded as well.

        Raises Stopped when told to stop before anything came, and what the store raises.
        """
        poll = Poll(target.underlying.symbol, self._clock.now())
        self._ask(target, poll)
        news: list[Told] = []
        confirmed: list[Confirmation] = []
        for reply in poll.told:
            unknown, known = self._sorted(reply, target.strikes)
            news.append(_told(reply, unknown, target.strikes))
            confirmed += known
        self._record(poll, news, confirmed, target.strikes)
        _tell(poll)
        return poll

    def _ask(self, target: Target, poll: Poll) -> None:
        """Fill *poll* with replies: each expiry from the first source that tells it."""
        missing: Sequence[date] | None = None
        for provider in self._awake(poll):
            wanted = self._due(provider, target, poll) if missing is None else missing
            if not wanted:
                continue
            poll.asked = max(poll.asked, len(wanted))
            missing = [day for day in wanted if not self._tells(provider, target, day, poll)]
            if not missing:
                return
        poll.asked = poll.asked or target.expiries

    def _due(self, provider: ChainProvider, target: Target, poll: Poll) -> Sequence[date]:
        """The nearest expiries that are not over; none when the source is out."""
        now = self._clock.now()
        listed = self._listed(provider, target.underlying, poll)
        running = [day for day in listed if self._calendar.expiry_close(day).at > now]
        return running[: target.expiries]

    def _listed(
        self, provider: ChainProvider, underlying: Instrument, poll: Poll
    ) -> Sequence[date]:
        """As the source lists them; as the instrument master does, where the source cannot."""
        try:
            listed = provider.expiries(underlying, self._stop)
        except (OutsideError, RequestRefused) as problem:
            self._failed(provider.source, problem, poll)
            out = poll.faults[provider.source] in OUTAGES
            return () if out else self._stored_expiries(underlying)
        poll.requests += listed.requests
        self._keep(provider, poll, None, listed.payloads)
        return listed.expiries

    def _tells(self, provider: ChainProvider, target: Target, expiry: date, poll: Poll) -> bool:
        """Ask for one chain; whether there was one."""
        reply = provider.chain(target.underlying, expiry, self._stop)
        poll.requests += reply.requests
        self._keep(provider, poll, expiry, reply.payloads)
        if isinstance(reply.problem, Stopped):
            raise reply.problem
        if reply.problem is not None:
            self._failed(provider.source, reply.problem, poll)
            return False
        poll.told.append(reply)
        return True

    def _keep(
        self, provider: ChainProvider, poll: Poll, expiry: date | None, bodies: Sequence[Payload]
    ) -> None:
        self._vault.keep([Kept(provider.source, poll.symbol, expiry, each) for each in bodies])

    def _failed(self, source: ChainSource, problem: DataFetchError, poll: Poll) -> None:
        fault = fault_of(problem)
        poll.faults[source] = fault
        poll.problem = problem
        if fault in TROUBLE:
            whose = EVERY_SYMBOL if fault in OUTAGES else poll.symbol
            self._rests[source, whose] = _Rest(self._clock.now() + REST, fault)

    def _awake(self, poll: Poll) -> Sequence[ChainProvider]:
        """The sources to ask: those that rest only when there is no other."""
        resting = {one.source: rest for one in self._providers if (rest := self._rest(one, poll))}
        awake = [one for one in self._providers if one.source not in resting]
        if not awake:
            return self._providers
        poll.faults |= {source: rest.fault for source, rest in resting.items()}
        return awake

    def _rest(self, provider: ChainProvider, poll: Poll) -> _Rest | None:
        now = self._clock.now()
        for whose in (EVERY_SYMBOL, poll.symbol):
            rest = self._rests.get((provider.source, whose))
            if rest is not None and rest.until > now:
                return rest
        return None

    def _sorted(
        self, reply: ChainReply, strikes: int | None
    ) -> tuple[list[Chain], list[Confirmation]]:
        """The chains of *reply* that are news, and confirmations of those that are not."""
        assert reply.told is not None
        kept = [around_the_money(chain, strikes) for chain in reply.told.chains]
        known = self._chains.known(kept, reply.received_at)
        unknown = [
            chain for chain, same in zip(reply.told.chains, known, strict=True) if same is None
        ]
        return unknown, [same for same in known if same is not None]

    def _record(
        self,
        poll: Poll,
        told: Sequence[Told],
        confirmed: Sequence[Confirmation],
        strikes: int | None,
    ) -> None:
        news = self._enricher.received(told)
        poll.stored, poll.confirmed = len(news), len(confirmed)
        # One after the other: they share the audit row of the minute.
        with self._recording:
            minute = self._minute.with_poll(poll, self._clock.now())
            attempt = poll.attempt(minute.run_id)
            recorded = self._chains.record(news, minute.run, [attempt], confirmed)
            late = self._late(poll, strikes, {each.expiry for each in recorded.displaced})
            if late:
                poll.stored, poll.confirmed = poll.stored + len(late), poll.confirmed - len(late)
                minute = replace(
                    minute,
                    stored=minute.stored + len(late),
                    confirmed=minute.confirmed - len(late),
                )
                self._chains.record(late, minute.run, [])
            self._minute = minute

    def _late(self, poll: Poll, strikes: int | None, displaced: Collection[date]) -> list[Received]:
        """Chains that were taken for known, though another writer came between."""
        return self._enricher.received(
            [
                _told(reply, [each for each in chains if each.expiry in displaced], strikes)
                for reply in poll.told
                for chains in [reply.told.chains if reply.told else ()]
            ]
        )


def _told(reply: ChainReply, chains: Sequence[Chain], strikes: int | None) -> Told:
    assert reply.told is not None
    return Told(
        chains=chains,
        received_at=reply.received_at,
        strikes=strikes,
        set_aside=len(reply.told.set_aside),
    )


def _tell(poll: Poll) -> None:
    facts = {"symbol": poll.symbol, "asked": poll.asked, "requests": poll.requests}
    faults = {source.value: fault.value for source, fault in poll.faults.items()}
    told = {"stored": poll.stored, "confirmed": poll.confirmed, "faults": faults or None}
    log.info("chains", extra={**facts, **told})
