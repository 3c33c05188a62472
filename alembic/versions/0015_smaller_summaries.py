"""The inputs of a chain's figures by position, so that a summary fits into its page on SQLite."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import JSONB

from data_fetch.storage.database.types import Instant

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

FIELDS = ("used", "of", "reason", "value")
KEY = ("underlying", "expiry", "timestamp", "source")

summaries = sa.table(
    "chain_summary",
    sa.column("underlying", sa.String()),
    sa.column("expiry", sa.Date()),
    sa.column("timestamp", Instant()),
    sa.column("source", sa.String()),
    sa.column("inputs", sa.JSON().with_variant(JSONB(), "postgresql")),
)


# For an administrator who runs the statements: there are no rows to read then.
BY_POSITION = """
UPDATE chain_summary SET inputs = (
    SELECT coalesce(jsonb_object_agg(name, CASE
        WHEN jsonb_exists(given, 'value') THEN
            jsonb_build_array(given->'used', given->'of', given->'reason', given->'value')
        WHEN given->>'reason' IS NULL THEN jsonb_build_array(given->'used', given->'of')
        ELSE jsonb_build_array(given->'used', given->'of', given->'reason')
    END), CAST('{}' AS jsonb))
    FROM jsonb_each(inputs) AS figure(name, given)
)
"""


def upgrade() -> None:
    if context.is_offline_mode():
        op.execute(BY_POSITION)
        return
    _change(_by_position)


def downgrade() -> None:
    _change(_by_name)


def _by_position(inputs: dict[str, Any]) -> list[Any]:
    if "value" in inputs:
        return [inputs[name] for name in FIELDS]
    reason = inputs["reason"]
    return [inputs["used"], inputs["of"], *([] if reason is None else [reason])]


def _by_name(inputs: list[Any]) -> dict[str, Any]:
    padded = [*inputs, None] if len(inputs) < 3 else inputs
    return dict(zip(FIELDS, padded, strict=False))


def _change(converted: Callable[[Any], Any]) -> None:
    """Convert the inputs of every summary, one underlying at a time."""
    connection, stored = op.get_bind(), summaries.c
    of_key = [stored[name] == sa.bindparam(f"its_{name}") for name in KEY]
    change = summaries.update().where(*of_key).values(inputs=sa.bindparam("smaller"))
    for underlying in connection.scalars(sa.select(stored.underlying).distinct()).all():
        rows = connection.execute(sa.select(summaries).where(stored.underlying == underlying))
        changes = [
            {
                **{f"its_{name}": getattr(row, name) for name in KEY},
                "smaller": {name: converted(inputs) for name, inputs in row.inputs.items()},
            }
            for row in rows
        ]
        if changes:
            connection.execute(change, changes)
