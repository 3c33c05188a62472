"""What a page says to input and stores that are of no use, and that it mends by itself."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path

import psycopg2
import pytest
from playwright.sync_api import Page
from programs import Desk
from servers import reopen, shut

from data_fetch.storage.database.revisions import known_revisions

pytestmark = pytest.mark.long

# The address of each page.
TODAY, COVERAGE, CHAIN = "/", "/coverage", "/option-chain"
ANALYTICS, CANDLES, SYSTEM = "/analytics", "/candles", "/system"
NEWEST, OLDER = known_revisions()[:2]
NEWER = "9999"
GONE, EXPIRED = "symbol=GONE", "symbol=NIFTY&expiry=2025-10-28&at=2025-11-05T10:00:00%2B05:30"
UNKNOWN = "knows no instrument named GONE"


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        pytest.param(f"{CHAIN}?{GONE}", UNKNOWN, id="chain of a symbol that is gone"),
        pytest.param(f"{ANALYTICS}?{GONE}", UNKNOWN, id="analytics of one"),
        pytest.param(f"{CANDLES}?{GONE}", UNKNOWN, id="candles of one"),
        pytest.param(
            f"{COVERAGE}?{GONE}&day=2025-10-21", "Choose other days above", id="coverage of one"
        ),
        pytest.param(f"{CHAIN}?{EXPIRED}", "this is its last snapshot", id="an expired chain"),
        pytest.param(f"{ANALYTICS}?{EXPIRED}", "this is its last snapshot", id="its analytics"),
        pytest.param(
            f"{CHAIN}?symbol=NIFTY&expiry=2025-10-14", "There are:", id="an expiry never stored"
        ),
        pytest.param(f"{CHAIN}?symbol=NIFTY&expiry=soon", "is not a date", id="no date"),
        pytest.param(f"{COVERAGE}?until=0001-01-01", "is not a date", id="no date of ours"),
        pytest.param(f"{CANDLES}?from=soon", "is not a date", id="no date of candles"),
    ],
)
def test_input_of_no_use_is_a_sentence(
    screen: Callable[..., Page], address: str, sentence: str
) -> None:
    page = screen(address)

    page.get_by_text(sentence).first.wait_for()
    assert page.get_by_test_id("stException").count() == 0


PAGES = (TODAY, COVERAGE, CHAIN, ANALYTICS, CANDLES, SYSTEM)
# What a page says of an empty store.
EMPTY = {
    TODAY: "No quotes are stored yet. Start collecting: data-fetch run",
    COVERAGE: "Fetch something first: data-fetch backfill",
    CHAIN: "No option chains are stored yet. Start collecting: data-fetch run",
    ANALYTICS: "No option chains are stored yet. Start collecting: data-fetch run",
    CANDLES: "data-fetch collect --once renews it",
    SYSTEM: "No runs are stored yet. Start collecting: data-fetch run",
}


def set_revision(url: str, revision: str) -> None:
    with closing(psycopg2.connect(url)) as connection, connection:
        connection.cursor().execute("UPDATE alembic_version SET version_num = %s", (revision,))


def shut_with_an_older_schema(url: str) -> None:
    set_revision(url, OLDER)
    shut(url)


# What happens to the database while the pages are open, and what all of them say then.
STEPS: Sequence[tuple[Callable[[str], None], dict[str, str]]] = (
    (
        shut_with_an_older_schema,
        dict.fromkeys(PAGES, "is not currently accepting connections"),
    ),
    (reopen, dict.fromkeys(PAGES, "Run data-fetch db upgrade.")),
    (
        partial(set_revision, revision=NEWER),
        dict.fromkeys(PAGES, "It was made by a newer data-fetch: install that version."),
    ),
    (partial(set_revision, revision=NEWEST), EMPTY),
)


def test_every_page_says_what_to_do_and_mends_by_itself(
    open_page: Callable[..., Page],
    dashboard_of: Callable[[Desk], AbstractContextManager[str]],
    tmp_path: Path,
    empty_postgres_url: str,
) -> None:
    desk = Desk.at(tmp_path, DATA_SOURCE="paper", DATABASE_URL=empty_postgres_url)
    with dashboard_of(desk) as url:
        pages = {address: open_page(url + address) for address in PAGES}
        for address, page in pages.items():
            page.get_by_text(EMPTY[address]).first.wait_for()

        before = EMPTY
        for happens, said in STEPS:
            happens(empty_postgres_url)
            for address, page in pages.items():
                page.get_by_text(said[address]).first.wait_for()
                page.get_by_text(before[address]).first.wait_for(state="hidden")
                assert page.get_by_test_id("stException").count() == 0
            before = said
        for page in pages.values():
            page.close()
