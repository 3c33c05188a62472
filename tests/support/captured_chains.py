"""Captured option-chain bodies for tests, and their contents."""

import gzip
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

NSE_LEGACY = "nse_option_chain_old/RELIANCE_2025-07-17.json.gz"
NSE_V3 = "nse_option_chain_v3/NIFTY_2026-06-19_exp2026-06-23_capture1.json.gz"
UPSTOX = "upstox/responses/v2_option_chain_NIFTY_exp2024-06-27_captured2024-06-24.json.gz"
UNIVERSE = "nse_option_chain_old/universe_2025-07-17.tar.gz"


def body(shared_data: Path, name: str) -> bytes:
    return gzip.decompress((shared_data / name).read_bytes())


def universe(shared_data: Path) -> Iterator[tuple[str, Any]]:
    """The 229 bodies of one evening by file name, parsed."""
    with tarfile.open(shared_data / UNIVERSE) as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None:
                yield member.name, orjson.loads(file.read())
