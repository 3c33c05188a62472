"""The places of the archive's files under its folder."""

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from data_fetch.core.clock import IST

DAY_FORMAT, MINUTE_FORMAT = "%Y%m%d", "%H%M"


@dataclass(frozen=True, slots=True)
class ArchiveFolder:
    """The archive at *root*; dates and minutes in names are Indian."""

    root: Path

    @property
    def minutes(self) -> Path:
        return self.root / "options_parquet"

    @property
    def processed(self) -> Path:
        return self.root / "options_processed"

    @property
    def manifest(self) -> Path:
        return self.processed / "manifest.json"

    @property
    def quarantine(self) -> Path:
        return self.processed / "quarantine"

    @property
    def sorting(self) -> Path:
        """Where DuckDB sorts what does not fit into memory."""
        return self.processed / "sorting"

    @property
    def lock(self) -> Path:
        """Held by the one archiver that writes here."""
        return self.processed / "archiver.lock"

    @property
    def database(self) -> Path:
        """The DuckDB file, which has views only."""
        return self.root / "options_chain_data.duckdb"

    def minutes_of(self, day: date) -> Path:
        return self.minutes / day.strftime(DAY_FORMAT)

    def minute_file(self, table: str, minute: datetime) -> Path:
        """The rows of *table* in the minute that begins at *minute*."""
        local = minute.astimezone(IST)
        name = f"{local.strftime(MINUTE_FORMAT)}.{table}.parquet"
        return self.minutes_of(local.date()) / name

    def processed_of(self, table: str, day: date) -> Path:
        """The folder of the parts and of the day file of one table and day."""
        return self.processed / table / day.strftime(DAY_FORMAT)

    def day_file(self, table: str, day: date, generation: int) -> Path:
        """The sealed file of a day; each *generation* has a name of its own."""
        return self.processed_of(table, day) / f"day-{generation}.parquet"

    def relative(self, path: Path) -> str:
        """*path* as manifest and ledger have it."""
        return path.relative_to(self.root).as_posix()
