"""Options that several chain commands share: an instant, an expiry, a source."""

from datetime import date, datetime

import click

from data_fetch.core.clock import IST


class InstantType(click.ParamType[datetime]):
    """An ISO instant; without an offset it is IST."""

    name = "instant"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            at = datetime.fromisoformat(str(value).strip())
        except ValueError:
            self.fail(f"{value!r} is not an instant like 2026-09-16T11:00:00+05:30", param, ctx)
        return at if at.tzinfo else at.replace(tzinfo=IST)


INSTANT = InstantType()

expiry_option = click.option(
    "--expiry", type=click.DateTime(["%Y-%m-%d"]), help="Default: the nearest one not over."
)
as_of_option = click.option(
    "--at", type=INSTANT, help="As stored at this instant (IST unless it has an offset)."
)
source_option = click.option(
    "--source", type=click.Choice(["upstox", "nse"]), help="Default: the one received last."
)


table_symbol_option = click.option("--symbol", help="Underlying of a table downloaded from NSE.")
table_expiry_option = click.option(
    "--expiry", type=click.DateTime(["%Y-%m-%d"]), help="Expiry of a table downloaded from NSE."
)


def date_given(option: datetime | None) -> date | None:
    """The date of a date option; None when it was not given."""
    return option.date() if option else None
