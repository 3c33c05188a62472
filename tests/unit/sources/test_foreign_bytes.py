"""Whatever bytes arrive: a value, or one of our errors.

`CHAOS=1` (`make chaos`) damages them two hundred times as often.
"""

import gzip
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import Random

import pytest
from effort import times
from foreign_bytes import PARSERS, Parser, damaged
from hypothesis import given, settings
from hypothesis import strategies as st

EXTREMES = {
    "nothing": b"",
    "a byte order mark": b"\xef\xbb\xbf",
    "nested lists": b"[" * 100_000,
    "nested objects": b'{"a":' * 100_000,
    "nested under data": b'{"status":"success","data":' + b"[" * 900 + b"]" * 900 + b"}",
    "digits": b"9" * 100_000,
    "a number beyond any": b'{"data": 1e400}',
    "no number": b'{"data": NaN}',
    "a member twice": b'{"data": [], "data": {}}',
    "no UTF-8": b'{"data": "\xff\xfe\xfa"}',
    "half a letter": b'{"data": "\\ud800"}',
    "zeros": bytes(10_000),
    "a page": b"<html><title>403</title></html>",
    "a packed nothing": gzip.compress(b""),
    "a packed page": gzip.compress(b"<html>"),
    "the start of packed bytes": gzip.compress(b"[1, 2, 3]")[:12],
}

each_parser = pytest.mark.parametrize("parser", PARSERS.values(), ids=PARSERS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("foreign")


@cache
def sound_bytes(parser: Parser, shared_data: Path) -> Sequence[bytes]:
    return parser.seeds(shared_data)


def attempt(parser: Parser, body: bytes, folder: Path) -> None:
    with suppress(*parser.refusals):
        parser.read(body, folder)


@each_parser
def test_what_is_sound_is_read(parser: Parser, shared_data: Path, tmp_path: Path) -> None:
    for body in parser.seeds(shared_data):
        parser.read(body, tmp_path)


@each_parser
def test_extremes_are_read_or_refused(parser: Parser, tmp_path: Path) -> None:
    for body in EXTREMES.values():
        attempt(parser, body, tmp_path)


@each_parser
@settings(max_examples=times(10, 2_000))
@given(chance=st.randoms(use_true_random=False))
def test_damage_is_read_or_refused(
    parser: Parser, shared_data: Path, folder: Path, chance: Random
) -> None:
    for body in sound_bytes(parser, shared_data):
        attempt(parser, damaged(body, chance), folder)
