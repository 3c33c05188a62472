"""The volume of a quote and the open interest of a candle may be unknown."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

FIGURES = {"ltp_data": "volume", "candles": "oi", "candle_revisions": "oi"}


def upgrade() -> None:
    _change(" NOT NULL", "")


def downgrade() -> None:
    for table, column in FIGURES.items():
        figures = sa.table(table, sa.column(column))
        unknown = figures.c[column].is_(None)
        op.execute(figures.update().where(unknown).values({column: 0}))
    _change("", " NOT NULL")


def _change(before: str, after: str) -> None:
    """Change the constraint of each figure."""
    if op.get_bind().dialect.name != "sqlite":
        for table, column in FIGURES.items():
            op.alter_column(table, column, nullable=not after)
        return
    # SQLite would copy years of candles. A constraint of a column is no part of the stored rows,
    # so it may be changed in the text of the schema ("ALTER TABLE" in SQLite's documentation).
    schema = sa.table("sqlite_master", *map(sa.column, ("type", "name", "sql")))
    connection = op.get_bind()
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema=ON")
    for table, column in FIGURES.items():
        old, new = (f"{column} BIGINT{constraint}" for constraint in (before, after))
        row = sa.and_(schema.c.type == "table", schema.c.name == table)
        text = connection.scalars(sa.select(schema.c.sql).where(row)).one()
        if text.count(old) != 1:
            raise RuntimeError(f"the schema of {table} is not the one of revision {down_revision}")
        connection.execute(schema.update().where(row).values(sql=text.replace(old, new)))
    connection.exec_driver_sql(f"PRAGMA schema_version={version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema=RESET")
