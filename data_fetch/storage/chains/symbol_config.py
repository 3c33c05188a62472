"""Which option chains to poll: one row per underlying, edited by users."""

from dataclasses import fields
from datetime import datetime
from operator import attrgetter

from sqlalchemy import select

from data_fetch.core.chains.symbol_config import SymbolConfig, followed
from data_fetch.storage.database.store import Guard, Store, refuse_invented
from data_fetch.storage.database.tables import SymbolConfigRow, table
from data_fetch.storage.database.upsert import upsert
from data_fetch.storage.instruments.instruments import present_instruments

config_table = table(SymbolConfigRow)
FIELDS = tuple(field.name for field in fields(SymbolConfig))
VALUES = attrgetter(*FIELDS)
COLUMNS = (*FIELDS, "changed_at")


class SymbolConfigs:
    """The list of chains to poll. The caller has validated the values."""

    def __init__(self, store: Store, guard: Guard | None = None) -> None:
        self._store = store
        self._guard = guard

    def all(self) -> list[SymbolConfig]:
        """Every configured underlying, active or not, under its present symbol: pinned ones
        first, then by name."""
        query = select(*(config_table.c[name] for name in FIELDS)).order_by(
            config_table.c.changed_at, config_table.c.symbol
        )
        with self._store.reading() as connection:
            decided = [SymbolConfig(**row) for row in connection.execute(query).mappings()]
            keys = [each.instrument_key for each in decided]
            present = followed(decided, present_instruments(connection, keys))
        return sorted(present, key=lambda each: (not each.pinned, each.symbol))

    def set(self, config: SymbolConfig, now: datetime) -> bool:
        """Store how to poll a symbol; returns whether that is a change."""
        if config in self.all():
            return False
        with self._store.writing(self._guard) as connection:
            refuse_invented(connection, [config.instrument_key])
            upsert(connection, config_table, COLUMNS, [(*VALUES(config), now)])
        return True
