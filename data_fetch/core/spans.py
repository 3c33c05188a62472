"""Arithmetic on sets of minutes, kept as spans.

A span is *first* and *end* (not included), whole minutes since 1970 UTC, as in `range`. A set
of minutes is a tuple of spans: ascending, separate from each other, none empty.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from operator import itemgetter

Span = tuple[int, int]
Spans = tuple[Span, ...]


def spans_of(minutes: Sequence[int]) -> Spans:
    """The spans of strictly ascending *minutes*."""
    if not minutes:
        return ()
    if minutes[-1] - minutes[0] == len(minutes) - 1:
        # Most days are complete: then there is no need to look at each minute.
        return ((minutes[0], minutes[-1] + 1),)
    begins = [n for n, (one, other) in enumerate(pairwise(minutes), 1) if other > one + 1]
    return tuple(
        (minutes[first], minutes[end - 1] + 1)
        for first, end in pairwise((0, *begins, len(minutes)))
    )


def joined(spans: Iterable[Span]) -> Spans:
    """The minutes that are in any of *spans*, which may overlap and be in any order."""
    found: list[Span] = []
    for first, end in sorted(span for span in spans if span[0] < span[1]):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((first, end))
    return tuple(found)


def common(these: Spans, those: Spans) -> Spans:
    """The minutes that are in both."""
    found: list[Span] = []
    for first, end in these:
        for begin, over in those:
            if over <= first:
                continue
            if begin >= end:
                break
            found.append((max(first, begin), min(end, over)))
    return tuple(found)


def between(spans: Spans, first: int, end: int) -> Spans:
    """The minutes of *spans* from *first* to *end* (not included), without a look at the others."""
    begins = bisect_right(spans, first, key=itemgetter(1))
    ends = bisect_left(spans, end, key=itemgetter(0))
    return common(spans[begins:ends], ((first, end),))


def without(these: Spans, those: Spans) -> Spans:
    """The minutes of *these* that are not in *those*."""
    left: list[Span] = []
    for first, end in these:
        for begin, over in those:
            if over <= first:
                continue
            if begin >= end:
                break
            if first < begin:
                left.append((first, begin))
            first = over
            if first >= end:
                break
        if first < end:
            left.append((first, end))
    return tuple(left)


def count(spans: Spans) -> int:
    """The number of minutes in *spans*."""
    return sum(end - first for first, end in spans)
