"""Which option chains to poll: one row per underlying, changed by people."""

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime
from operator import attrgetter

from sqlalchemy import select

from data_fetch.core.errors import BadRecord
from data_fetch.core.symbol_config import SymbolConfig
from data_fetch.storage.store import Guard, Store, refuse_invented
from data_fetch.storage.tables import SymbolConfig as SymbolConfigRow
from data_fetch.storage.tables import table
from data_fetch.storage.upsert import REPLACE, Rule, unchanged, upsert

config_table = table(SymbolConfigRow)
FIELDS = tuple(field.name for field in fields(SymbolConfig))
VALUES = attrgetter(*FIELDS)
COLUMNS = (*FIELDS, "changed_at")
FIRST_COMER = Rule(combined=dict.fromkeys(COLUMNS[1:], unchanged))


class SymbolConfigs:
    """The list of what to poll. Whoever calls has checked the values."""

    def __init__(self, store: Store, guard: Guard | None = None) -> None:
        self._store = store
        self._guard = guard

    def all(self) -> list[SymbolConfig]:
        """Every symbol, active or not: pinned ones first, then by name."""
        query = select(*(config_table.c[name] for name in FIELDS)).order_by(
            config_table.c.pinned.desc(), config_table.c.symbol
        )
        with self._store.reading() as connection:
            return [SymbolConfig(**row) for row in connection.execute(query).mappings()]

    def add(self, configs: Sequence[SymbolConfig], now: datetime) -> int:
        """Add those that are not there; how many that were. Others stay as they are."""
        return self._write(configs, now, FIRST_COMER)

    def set(self, config: SymbolConfig, now: datetime) -> bool:
        """Poll the symbol that way from now on; whether that is a change."""
        if config in self.all():
            return False
        self._write([config], now, REPLACE)
        return True

    def pause(self, symbol: str, now: datetime) -> bool:
        """Poll the symbol no more; whether that is a change. Raises BadRecord if there is none."""
        return self.set(replace(self._one(symbol), active=False), now)

    def resume(self, symbol: str, now: datetime) -> bool:
        """Poll the symbol again; whether that is a change. Raises BadRecord if there is none."""
        return self.set(replace(self._one(symbol), active=True), now)

    def _one(self, symbol: str) -> SymbolConfig:
        found = next((each for each in self.all() if each.symbol == symbol), None)
        if found is None:
            raise BadRecord(f"{symbol} is not among the symbols that are polled")
        return found

    def _write(self, configs: Sequence[SymbolConfig], now: datetime, rule: Rule) -> int:
        rows = [(*VALUES(config), now) for config in configs]
        with self._store.writing(self._guard) as connection:
            refuse_invented(connection, (config.instrument_key for config in configs))
            return upsert(connection, config_table, COLUMNS, rows, rule)
