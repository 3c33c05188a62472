"""What a message says: all that is reported at one time, in one message. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from data_fetch.alerts.changes import Change, News
from data_fetch.core.alerts import RECOVERED, AlertState
from data_fetch.core.clock import IST, MINUTE
from data_fetch.core.world import World

RUNBOOKS = "docs/howto/runbooks.md"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# Chats refuse longer messages; what is left out is in `data-fetch alerts list`.
MOST_LINES = 10
LONGEST_TITLE = 400


@dataclass(frozen=True, slots=True)
class Text:
    """*kind*: the highest severity in it, or RECOVERED where nothing in it is still wrong."""

    kind: str
    title: str
    text: str


def text_of(news: Sequence[News], world: World) -> Text:
    """One message with all of *news*, what is wrong first, the gravest of it first."""
    ordered = sorted(news, key=_order)
    wrong = [each for each in ordered if each.change is not Change.RECOVERED]
    kind = str(wrong[0].state.severity) if wrong else RECOVERED
    names = ", ".join(dict.fromkeys(each.state.rule for each in ordered))
    paragraphs = [_paragraph(each) for each in ordered[:MOST_LINES]]
    if len(ordered) > MOST_LINES:
        more = len(ordered) - MOST_LINES
        paragraphs.append(f"and {more} more: data-fetch alerts list")
    return Text(kind, f"data-fetch ({world}): {kind}: {names}", "\n\n".join(paragraphs))


def _order(news: News) -> tuple[bool, int]:
    return news.change is Change.RECOVERED, -news.state.severity


def _paragraph(news: News) -> str:
    state = news.state
    if news.change is Change.RECOVERED:
        return f"Over: {_headline(state)}\nIt lasted {duration(state.lasted)}."
    since = f"{state.since.astimezone(IST):%a %d %b %H:%M} IST"
    lasts = f"\nSince {since}." if news.change is not Change.BEGAN else ""
    return (
        f"{str(state.severity).capitalize()}: {_headline(state)}{lasts}\n"
        f"{state.action}\n"
        f"Runbook: {RUNBOOKS}#{state.rule}"
    )


def _headline(state: AlertState) -> str:
    title = state.title
    short = title if len(title) <= LONGEST_TITLE else f"{title[: LONGEST_TITLE - 1]}…"
    return f"{state.rule}: {short}."


def duration(span: timedelta) -> str:
    """A duration in the two largest units: 12 min, 3 h 05 min, 2 d 4 h."""
    if span < HOUR:
        return f"{max(1, span // MINUTE)} min"
    if span < DAY:
        return f"{span // HOUR} h {span % HOUR // MINUTE:02d} min"
    return f"{span // DAY} d {span % DAY // HOUR} h"
