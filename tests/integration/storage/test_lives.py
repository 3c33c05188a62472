"""Whether the process that took a lease still lives."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from effort import PATIENCE_SECONDS
from living import living

from data_fetch.storage.database.lives import Life, forget, has_ended


@pytest.fixture
def lease() -> Iterator[str]:
    lease = uuid4().hex
    yield lease
    forget(lease)


def files_of(lease: str) -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob(f"*{lease}*"))


def test_a_lease_that_this_machine_has_never_seen_is_not_known_to_have_ended(lease: str) -> None:
    assert not has_ended(lease)
    assert files_of(lease) == []


def test_a_living_process_has_not_ended(lease: str) -> None:
    with living(lease):
        assert not has_ended(lease)


def test_a_killed_process_has_ended_even_while_it_is_a_zombie(lease: str) -> None:
    with living(lease) as process:
        process.kill()
        assert process.stdout is not None
        # Its output ends with it; nobody has waited for it yet.
        assert process.stdout.read() == ""

        assert has_ended(lease)
        process.wait(PATIENCE_SECONDS)
        assert has_ended(lease)


def test_one_life_of_this_process_is_not_another(lease: str) -> None:
    life, other = Life(lease), Life(lease)
    life.begin()
    life.begin()
    other.begin()

    assert not has_ended(lease)
    life.end()
    assert files_of(lease) == []


def test_a_process_that_ended_and_was_forgotten_leaves_no_file(lease: str) -> None:
    with living(lease):
        pass
    assert has_ended(lease)
    forget(lease)

    assert files_of(lease) == []
    assert not has_ended(lease)
