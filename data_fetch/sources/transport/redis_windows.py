"""Rate windows in a Redis, shared by the processes of all machines.

A grant is one script, its response another one: Redis runs each without interruption, on its own
clock. All keys of an account have one hash tag, so that they are in one slot of a cluster.

Redis may forget. The identity of the server (`run_id`) is stored with the windows: under another
one (it restarted, or a replica took over), or without the keys that there must be (flushed,
evicted), everything counts as unknown until no request sent before can be in a window any more.
That holds for an account of which Redis knows nothing yet, too: what was sent before is not known.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from data_fetch.core.errors import WindowsUnavailable
from data_fetch.core.pacing import (
    LONGEST_PAUSE,
    NEXT_INSTANT,
    OVERDUE,
    Cause,
    QueueEntry,
    RateRules,
    Spending,
    Turn,
)
from data_fetch.core.ports import Clock

TIMEOUT_SECONDS = 2
# Of this process. Other threads wait for one: a script takes less than a millisecond.
MOST_CONNECTIONS = 16
# An account that sent nothing for so long is forgotten, and unknown afterwards.
STATE_LIFE = timedelta(days=30)
# How often the keys get their time to live anew.
RENEWAL = timedelta(minutes=1)

# Instants are microseconds since 1970. The state of an account is a hash: `run_id`,
# `unknown_since` (before it any number of requests may have been sent), and of each API
# `counted` (there is a request that counts from this instant or later), `paused_until`, and
# `renewed` (when its keys got their time to live). `spent` of an API has its requests by the
# instant from which they count: `a` answered, `f` in flight, with the latest possible instant.
# `waiting` has its queue by lane, then by arrival; `expiring`, when a waiting process that did not
# return is taken for dead.
BEGIN = """
local state, spent, waiting, expiring = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local api, id = ARGV[2], ARGV[3]

local function number(value) return string.format('%.0f', value) end

-- Without a given instant the server's own.
local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function renew()
    redis.call('HSET', state, 'renewed:' .. api, number(now))
    redis.call('PEXPIRE', spent, spent_life)
    redis.call('PEXPIRE', state, state_life)
end
"""

KNOW = """
local server = redis.call('INFO', 'server')
local place = string.find(server, 'run_id:', 1, true)
local run_id = string.sub(server, place + 7, place + 46)
local known = redis.call('HMGET', state, 'run_id', 'unknown_since', 'paused_until:' .. api,
                         'counted:' .. api, 'renewed:' .. api)
local unknown_since, paused_until = tonumber(known[2]), tonumber(known[3])
local counted, renewed = tonumber(known[4]), tonumber(known[5])
local requests = redis.call('ZCARD', spent)
local evicted = requests == 0 and counted and counted + longest >= now
if known[1] ~= run_id or evicted then
    -- A request in flight may be counted until its longest flight is over.
    unknown_since, paused_until, counted, renewed = now + flight, nil, nil, nil
    redis.call('DEL', state)
    redis.call('HSET', state, 'run_id', run_id, 'unknown_since', number(unknown_since))
    redis.call('PEXPIRE', state, state_life)
end

-- An instant of the state, until it is over *life* later; 0 without one. Instants in the future
-- were written before the clock was set back: they count from now.
local function current(field, instant, life, latest)
    if instant and instant + life < now then
        redis.call('HDEL', state, field)
        return 0
    elseif instant and instant > latest then
        redis.call('HSET', state, field, number(latest))
        return latest
    end
    return instant or 0
end
unknown_since = current('unknown_since', unknown_since, longest, now + flight)
local unknown_until = unknown_since > 0 and unknown_since + longest + 1 or 0
paused_until = current('paused_until:' .. api, paused_until, 0, now + longest_pause)
if counted and counted > now then
    local future = redis.call('ZRANGEBYSCORE', spent, '(' .. number(now), '+inf', 'WITHSCORES')
    for i = 1, #future, 2 do
        local latest = string.sub(future[i], 1, 1) == 'f' and now + flight or now
        redis.call('ZADD', spent, number(math.min(tonumber(future[i + 1]), latest)), future[i])
    end
    redis.call('HSET', state, 'counted:' .. api, number(now))
end
"""

TAKE = (
    KNOW
    + """
local lane, patience = tonumber(ARGV[4]), tonumber(ARGV[5])
local width = 2 ^ 40

local function leave(gone)
    redis.call('ZREM', waiting, gone)
    redis.call('ZREM', expiring, gone)
end
local function leave_between(from, to)
    for _, dead in ipairs(redis.call('ZRANGEBYSCORE', expiring, from, to)) do leave(dead) end
end

local ahead, queued = 0, false
if redis.call('EXISTS', expiring) == 1 then
    leave_between('-inf', '(' .. number(now))
    leave_between('(' .. number(now + longest_wait + overdue), '+inf')
    queued = redis.call('ZRANK', waiting, id)
    ahead = queued or redis.call('ZCOUNT', waiting, '-inf', '(' .. number((lane + 1) * width))
end

local at, cause = now, 'BUDGET'
for _, rule in ipairs(limits) do
    local window, room, last = rule[1], rule[2] - ahead, nil
    if room <= 0 then
        last = now
    elseif room <= requests then
        -- A new request fits in when the limit-th newest has left the window.
        local newest = redis.call('ZREVRANGE', spent, room - 1, room - 1, 'WITHSCORES')
        last = math.min(tonumber(newest[2]), now)
    end
    if last then at = math.max(at, last + window + 1) end
end
if paused_until >= at then at, cause = paused_until, 'PAUSE' end
if unknown_until >= at then at, cause = unknown_until, 'UNKNOWN' end

if at <= now then
    if queued then leave(id) end
    redis.call('ZADD', spent, number(now + flight), 'f' .. id)
    redis.call('HSET', state, 'counted:' .. api, number(now))
    if not renewed or math.abs(now - renewed) > renewal then
        redis.call('ZREMRANGEBYSCORE', spent, '-inf', '(' .. number(now - longest))
        renew()
    end
elseif not patience or at - now <= patience then
    if not queued then
        local ticket = redis.call('HINCRBY', state, 'tickets', 1)
        redis.call('ZADD', waiting, number(lane * width + ticket), id)
    end
    redis.call('ZADD', expiring, number(at + overdue), id)
    for _, key in ipairs({waiting, expiring}) do redis.call('PEXPIRE', key, queue_life) end
end
return {now, at, cause}
"""
)

ANSWER = """
local new = redis.call('ZADD', spent, number(now), 'a' .. id)
local in_flight = redis.call('ZREM', spent, 'f' .. id)
redis.call('HSET', state, 'counted:' .. api, number(now))
if new == 1 and in_flight == 0 then
    renew()
    if now <= tonumber(ARGV[4]) + flight + longest then
        -- It was still to be here. What else is missing is not known.
        redis.call('HDEL', state, 'run_id')
    end
end
"""

PAUSE = """
local paused_until = tonumber(redis.call('HGET', state, 'paused_until:' .. api)) or 0
local longer = math.max(paused_until, now + tonumber(ARGV[3]))
redis.call('HSET', state, 'paused_until:' .. api, number(longer))
redis.call('PEXPIRE', state, state_life)
"""

SPENDING = (
    KNOW
    + """
local found = redis.call('ZRANGEBYSCORE', spent, number(now - longest), '+inf', 'WITHSCORES')
local ends = {}
for i = 2, #found, 2 do ends[i / 2] = math.min(tonumber(found[i]), now) end
return {now, paused_until, unknown_until, ends}
"""
)

_MICROSECOND, _MILLISECOND = timedelta(microseconds=1), timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# What Redis refuses, and the fix; the first that fits.
REFUSALS: Sequence[tuple[type[redis.RedisError], str, str]] = (
    (
        redis.AuthenticationError,
        "rejects the user or the password",
        "Correct RATE_WINDOWS_URL.",
    ),
    (
        redis.exceptions.NoPermissionError,
        "refuses a right",
        "Let the user of RATE_WINDOWS_URL run EVALSHA, SCRIPT LOAD, TIME, INFO and commands on "
        "data-fetch:* keys.",
    ),
    (
        redis.exceptions.ReadOnlyError,
        "is a replica and takes no writes",
        "Name the primary server in RATE_WINDOWS_URL.",
    ),
    (
        redis.exceptions.OutOfMemoryError,
        "has no memory left",
        "Raise its maxmemory.",
    ),
    (redis.ResponseError, "refuses the rate windows", "Redis 6 or later is needed."),
    (redis.RedisError, "does not answer", "Start it, or correct RATE_WINDOWS_URL."),
)


def constants_of(rules: RateRules) -> str:
    """The constants of the scripts under *rules*: microseconds; times to live milliseconds."""
    # Longer than any wait: the longest pause, or the longest window after an unknown time.
    longest_wait = max(LONGEST_PAUSE, rules.longest + rules.flight) + NEXT_INSTANT
    spans = {
        "longest": rules.longest,
        "flight": rules.flight,
        "longest_pause": LONGEST_PAUSE,
        "longest_wait": longest_wait,
        "overdue": OVERDUE,
        "renewal": RENEWAL,
    }
    lives = {
        "state_life": STATE_LIFE,
        "spent_life": rules.longest + rules.flight + 2 * RENEWAL,
        "queue_life": longest_wait + OVERDUE,
    }
    lines = [f"local {name} = {_micros(span)}" for name, span in spans.items()]
    lines += [f"local {name} = {life // _MILLISECOND}" for name, life in lives.items()]
    limits = ", ".join(f"{{{_micros(window)}, {limit}}}" for window, limit in rules.limits.items())
    return "\n".join([*lines, f"local limits = {{{limits}}}"])


class RedisWindows:
    """The windows of all accounts in the Redis at *url*. Connects when they are first used.

    The time is Redis's own; a paper market's is *clock*. Satisfies `ports.RateWindows`.
    """

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        self.where = f"Redis at {_without_account(url)}"
        self._clock = clock
        self._redis = redis.Redis(
            connection_pool=redis.BlockingConnectionPool.from_url(
                url,
                max_connections=MOST_CONNECTIONS,
                timeout=TIMEOUT_SECONDS,
                decode_responses=True,
                socket_timeout=TIMEOUT_SECONDS,
                socket_connect_timeout=TIMEOUT_SECONDS,
                # A connection may have been closed since it was last used.
                retry=Retry(NoBackoff(), 1),
            )
        )

    def ledger(self, account: str, rules: RateRules) -> "RedisLedger":
        return RedisLedger(self._redis, self.where, self._clock, account, rules)

    def close(self) -> None:
        self._redis.close()


class RedisLedger:
    """One account's spending in the Redis of *client*. Satisfies `ports.RateLedger`."""

    def __init__(
        self, client: redis.Redis, where: str, clock: Clock | None, account: str, rules: RateRules
    ) -> None:
        self._redis = client
        self._where = where
        self._clock = clock
        self._prefix = f"data-fetch:rate:{{{account}}}"
        self._begin = constants_of(rules) + BEGIN
        self._digests = {
            script: sha1((self._begin + script).encode(), usedforsecurity=False).hexdigest()
            for script in (TAKE, ANSWER, PAUSE, SPENDING)
        }

    def take(self, entry: QueueEntry, patience: timedelta | None) -> Turn:
        waits = "" if patience is None else _micros(patience)
        now, at, cause = self._run(TAKE, entry.api, entry.number, int(entry.lane), waits)
        turn = Turn(_instant(now), _instant(at), Cause[cause])
        if turn.granted:
            entry.sent = turn.now
        elif turn.comes_within(patience):
            entry.ticket = entry.number
        return turn

    def answer(self, entry: QueueEntry) -> None:
        assert entry.sent is not None
        self._run(ANSWER, entry.api, entry.number, _micros(entry.sent - _EPOCH), keys=2)

    def leave(self, entry: QueueEntry) -> None:
        _, _, *queue = self._keys(entry.api)
        with self._problems(), self._redis.pipeline() as pipeline:
            for key in queue:
                pipeline.zrem(key, entry.number)
            pipeline.execute()

    def pause(self, api: str, duration: timedelta) -> None:
        self._run(PAUSE, api, _micros(duration))

    def spending(self) -> Spending:
        ends, pauses = {}, {}
        # Of no API, for the time and what is not known.
        now, _, unknown_until, _ = self._run(SPENDING, "")
        for api in self._apis():
            now, paused_until, unknown_until, found = self._run(SPENDING, api)
            if found:
                ends[api] = [*map(_instant, found)]
            if paused_until > now:
                pauses[api] = _instant(paused_until)
        return Spending(
            _instant(now), ends, pauses, _instant(unknown_until) if unknown_until > now else None
        )

    def _apis(self) -> set[str]:
        state, *_ = self._keys("")
        with self._problems():
            fields = map(str, self._redis.hkeys(state))
        return {api for _, of_api, api in (field.partition(":") for field in fields) if of_api}

    def _run(self, script: str, api: str, *more: str | int, keys: int = 4) -> Any:
        """The reply of *script*, one of this module's, which uses the first *keys* of an API."""
        now = "" if self._clock is None else str(_micros(self._clock.now() - _EPOCH))
        arguments = (*self._keys(api)[:keys], now, api, *map(str, more))
        with self._problems():
            try:
                return self._redis.evalsha(self._digests[script], keys, *arguments)
            except redis.exceptions.NoScriptError:
                # Redis is new to it, or has restarted.
                return self._redis.eval(self._begin + script, keys, *arguments)

    def _keys(self, api: str) -> list[str]:
        queues = (f"{self._prefix}:{name}:{api}" for name in ("spent", "waiting", "expiring"))
        return [f"{self._prefix}:state", *queues]

    @contextmanager
    def _problems(self) -> Iterator[None]:
        """Raises the errors of Redis as WindowsUnavailable."""
        try:
            yield
        except redis.RedisError as problem:
            what, fix = next(
                (what, fix) for kind, what, fix in REFUSALS if isinstance(problem, kind)
            )
            raise WindowsUnavailable(
                f"{self._where} has the rate windows and {what} ({problem})",
                hint=f"Nothing is sent without them. {fix} Requests go on by themselves then.",
            ) from problem


def _without_account(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _micros(duration: timedelta) -> int:
    return duration // _MICROSECOND


def _instant(micros: int) -> datetime:
    return _EPOCH + micros * _MICROSECOND
