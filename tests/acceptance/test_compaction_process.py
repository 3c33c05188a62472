"""Days of the archive by commands: an archiver that leaves them, and a worker that does them."""

import signal
from pathlib import Path

import pytest
from archive_shelf import THURSDAY, TUESDAY, WEDNESDAY, digests, store_day
from own_redis import own_redis
from programs import Desk, end

from data_fetch.core.archive.days import Dataset
from data_fetch.core.world import World
from data_fetch.storage.database.store import open_store

pytestmark = pytest.mark.long
DAYS = (TUESDAY, WEDNESDAY, THURSDAY)
HOT = dict.fromkeys(("HOT_CHAIN_DAYS", "HOT_QUOTE_DAYS", "HOT_CANDLE_DAYS"), "1")


def test_a_worker_archives_what_the_archiver_leaves_to_it(
    tmp_path: Path, database_url: str
) -> None:
    store = open_store(database_url, World.PAPER)
    for day in DAYS:
        store_day(store, day)
    before = digests(store, DAYS)
    with own_redis() as broker:
        desk = Desk.at(
            tmp_path,
            DATA_SOURCE="paper",
            DATABASE_URL=database_url,
            CELERY_BROKER_URL=broker.url,
            **HOT,
        )
        left = desk.run("archive", "run", "--once", "--distributed")
        assert left.returncode == 0, left.stderr
        assert "Days that are due wait for `data-fetch worker`" in left.stdout
        for dataset in desk.json("archive", "status")["datasets"]:
            assert sum(dataset["days_by_state"].values()) == 0

        worker = desk.start("worker", "--concurrency", "2")
        assert worker.stdout is not None
        done = [worker.stdout.readline() for _ in range(9)]
        end(worker, signal.SIGTERM)

    assert {line.split()[1] for line in done} == {"done"}
    assert len({line.split()[2] for line in done}) == 9
    for dataset in desk.json("archive", "status")["datasets"]:
        assert dataset["days_in_store"] == 1
        assert sum(dataset["days_by_state"].values()) == 3
    assert desk.json("archive", "verify")["bad_files"] == []
    for dataset in Dataset:
        span = ("--from", str(TUESDAY), "--to", str(WEDNESDAY))
        desk.json("archive", "restore", "--dataset", dataset.value, *span)
    assert digests(store, DAYS) == before
    store.close()
