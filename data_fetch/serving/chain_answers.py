"""Answers with option chains: a request looks at heads, and legs are read once per snapshot."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import orjson
from fastapi import Request
from fastapi.responses import Response

from data_fetch import __version__
from data_fetch.core.errors import NothingStored
from data_fetch.reading.chain_records import ChainHead, ChainRecord, SnapshotReplaced, record_of
from data_fetch.serving.answers import (
    CACHING,
    JSON,
    Cause,
    Counted,
    Frame,
    entity_tag,
    has_it,
    not_modified,
    refuse_incomplete,
)
from data_fetch.serving.compression import accepts_gzip
from data_fetch.serving.made_bytes import Looks, MadeBodies, MadeBody
from data_fetch.serving.server import Server

# Why a leg has no number of its own, as sentences.
WITHOUT_IV = "legs without an implied volatility of their own"
REJECTED = "legs of the response with impossible values were left out"
GZIPPED = {"Content-Encoding": "gzip"}


@dataclass(frozen=True, slots=True)
class ChainForm:
    """A document of snapshots. *name* is unlike that of any other: its kind, and what it depends on
    besides the snapshots, such as a limit.

    With *most*, heads beyond so many are not shown: then *next* is the path that goes on after
    those that are.
    """

    name: Hashable
    unit: str
    document: Callable[[Sequence[ChainRecord]], Mapping[str, Any]]
    most: int | None = None
    next: Callable[[Sequence[ChainHead]], str] = field(default=lambda _: "")


class ChainAnswers:
    """The answers with chains of one server. For one event loop."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._looks: Looks[tuple[ChainHead, ...]] = Looks()
        self._bodies = MadeBodies(server.kept_answers)

    async def answer(
        self,
        request: Request,
        query: Hashable,
        look: Callable[[], tuple[ChainHead, ...]],
        form: ChainForm,
    ) -> Response:
        """*form* of the snapshots whose heads *look* finds; 304 when the sender has them.

        *query* is what *look* depends on: requests with the same one share a look of the last
        tenth of a second. Raises what *look* does.
        """
        body = await self._body(query, look, form)
        refuse_incomplete(request, body.frame)
        if has_it(request, body.tag):
            return not_modified(body.tag)
        headers = {**CACHING, "ETag": body.tag}
        now, degraded = self._server.now(), self._server.troubles.degraded
        if accepts_gzip(request.headers.get("accept-encoding", "")):
            content = body.gzipped(now, degraded)
            return Response(content, media_type=JSON, headers={**headers, **GZIPPED})
        return Response(body.plain(now, degraded), media_type=JSON, headers=headers)

    async def _body(
        self, query: Hashable, look: Callable[[], tuple[ChainHead, ...]], form: ChainForm
    ) -> MadeBody:
        heads = await self._looks.get(query, look)
        try:
            return await self._body_of(heads, form)
        except SnapshotReplaced:
            self._looks.forget(query)
            return await self._body_of(await self._looks.get(query, look), form)

    async def _body_of(self, heads: Sequence[ChainHead], form: ChainForm) -> MadeBody:
        # Servers of two versions may share Redis.
        tag = entity_tag(repr((__version__, form.name, *map(_identity, heads))).encode())
        return await self._bodies.get(tag, lambda: self._made(heads, form, tag))

    def _made(self, heads: Sequence[ChainHead], form: ChainForm, tag: str) -> MadeBody:
        shown = heads[: form.most]
        records = [record_of(self._server.settings, head) for head in shown]
        frame = chain_frame(records, self._server.now(), form.unit)
        if len(shown) < len(heads):
            frame = replace(frame, next=form.next(shown))
        return MadeBody.of(tag, frame, orjson.dumps({**frame.lasting(), **form.document(records)}))


def chain_frame(records: Sequence[ChainRecord], now: datetime, unit: str) -> Frame:
    """The frame of an answer with these snapshots: complete when each of their legs has numbers
    of its own."""
    heads = [record.head for record in records]
    reasons = Counter(leg.reason for record in records for leg in record.legs if leg.reason)
    legs, rejected = sum(len(record.legs) for record in records), sum(h.rejected for h in heads)
    causes = [Cause(code, count, WITHOUT_IV) for code, count in sorted(reasons.items())]
    if rejected:
        causes.append(Cause("rejected", rejected, REJECTED))
    missing = reasons.total() + rejected
    return Frame(
        as_of=now,
        newest=max((head.last_confirmed for head in heads), default=None),
        completeness=Counted(
            of="legs", expected=legs + rejected, present=legs + rejected - missing,
            missing=missing, pending=0,
        ),
        source=listed(head.source for head in heads),
        unit=unit,
        reasons=causes,
    )  # fmt: skip


def expiries_frame(heads: Sequence[ChainHead], now: datetime, unit: str) -> Frame:
    """The frame of a list of the expiries whose newest snapshots are *heads*."""
    shown = [head.shown for head in heads]
    return Frame(
        as_of=now,
        newest=max(head.last_confirmed for head in shown),
        completeness=Counted(of="expiries", present=len(shown)),
        source=listed(head.source for head in shown),
        unit=unit,
    )


def nothing_stored_frame(problem: NothingStored, now: datetime, unit: str) -> Frame:
    """The frame of an answer without data of a known symbol."""
    return Frame(
        as_of=now,
        newest=None,
        completeness=Counted(of="chains", present=0),
        unit=unit,
        reasons=[Cause("nothing_stored", 1, f"{problem.message}. {problem.hint}")],
    )


def listed(sources: Iterable[str]) -> str | None:
    """*sources* as text, each once; None without any."""
    return ", ".join(sorted(set(sources))) or None


def _identity(head: ChainHead) -> tuple[Hashable, ...]:
    """What a document of the snapshot can depend on."""
    shown = head.shown
    return (
        shown.underlying,
        shown.expiry.isoformat(),
        shown.timestamp.timestamp(),
        str(shown.source),
        shown.content_hash,
        shown.run_id,
        shown.lot_size,
        shown.confirmations,
        shown.last_confirmed.timestamp(),
    )
