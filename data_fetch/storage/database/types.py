"""Column types that mean the same on PostgreSQL and on SQLite."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, DateTime, Integer, Numeric
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from data_fetch.core.errors import BadRecord

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
DECIMAL_PLACES = 4


class Instant(TypeDecorator[datetime]):
    """An aware instant; UTC on the way out.

    PostgreSQL: `timestamptz`. SQLite: an integer, microseconds since 1970 UTC, which is
    exact, sorts, and takes half the space of text. A naive datetime raises BadRecord.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Integer() if dialect.name == "sqlite" else self.impl)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise BadRecord(f"refusing to store {value}: no time zone")
        return (value - EPOCH) // MICROSECOND if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if dialect.name == "sqlite":
            return EPOCH + timedelta(microseconds=value)
        instant: datetime = value.astimezone(UTC)
        return instant


class Exact(TypeDecorator[Decimal]):
    """A decimal with up to four places (strike, tick), never a float.

    PostgreSQL: `numeric`. SQLite: an integer, ten-thousandths, so that strikes sort and
    compare exactly. A value that does not fit raises BadRecord.
    """

    impl = Numeric(18, DECIMAL_PLACES)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(BigInteger() if dialect.name == "sqlite" else self.impl)

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if not isinstance(value, Decimal) or not value.is_finite():
            raise BadRecord(f"refusing to store {value!r}: not an exact decimal")
        scaled = value.scaleb(DECIMAL_PLACES)
        if scaled != scaled.to_integral_value():
            raise BadRecord(f"refusing to store {value}: more than {DECIMAL_PLACES} places")
        return int(scaled) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        if value is None:
            return None
        return Decimal(value).scaleb(-DECIMAL_PLACES) if dialect.name == "sqlite" else value
