"""The volatility surface of an underlying, from the newest chain of each expiry."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from data_fetch.analytics.surface import Smile, Surface, surface
from data_fetch.core.settings import Settings
from data_fetch.reading.chain_snapshots import newest_of_each_expiry
from data_fetch.reading.documents import rounded
from data_fetch.reading.instants import exact_text
from data_fetch.reading.seam import question
from data_fetch.storage.chains.snapshots import StoredSnapshot


@dataclass(frozen=True, slots=True)
class StoredSurface:
    """A surface and the snapshots that it was computed from."""

    surface: Surface
    snapshots: Sequence[StoredSnapshot]

    @property
    def oldest_confirmation(self) -> datetime:
        """The last receipt of the snapshot that was confirmed least recently."""
        return min(each.last_confirmed for each in self.snapshots)

    def document(self) -> dict[str, Any]:
        by_expiry = {each.head.expiry: each for each in self.snapshots}
        return {
            "underlying": self.surface.underlying,
            "expiries": [
                _smile_document(smile, by_expiry[smile.expiry]) for smile in self.surface.smiles
            ],
            "left_out": [
                {"expiry": expiry.isoformat(), "points": points}
                for expiry, points in self.surface.left_out
            ],
        }


def stored_surface(
    settings: Settings, underlying: str, at: datetime | None, source: str | None
) -> StoredSurface:
    """The surface as of *at*. Raises SetupError when no chain of *underlying* is stored."""
    with question(settings) as asked:
        snapshots = newest_of_each_expiry(asked, underlying, at, source)
    return StoredSurface(surface([each.summary.priced for each in snapshots]), snapshots)


def _smile_document(smile: Smile, snapshot: StoredSnapshot) -> dict[str, Any]:
    return {
        "expiry": smile.expiry.isoformat(),
        "received_at": exact_text(snapshot.timestamp),
        "last_confirmed": exact_text(snapshot.last_confirmed),
        "source": snapshot.head.source,
        "years": rounded(smile.years),
        "forward": rounded(smile.forward),
        "atm_iv": rounded(smile.atm_iv),
        "by_delta": {name: rounded(iv) for name, iv in smile.by_delta.items()},
        "risk_reversal": rounded(smile.risk_reversal),
        "butterfly": rounded(smile.butterfly),
        "points": [
            {"strike": strike, "iv": rounded(iv), "delta": rounded(delta)}
            for strike, iv, delta in zip(smile.strikes, smile.ivs, smile.deltas, strict=True)
        ],
    }
