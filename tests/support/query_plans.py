"""What the plan of a query reads from end to end."""

import re

# The first cost of a scan is of its first row, the second of all.
SCAN_IN_POSTGRESQL = re.compile(r"Seq Scan on .*?\(cost=[\d.]+\.\.(?P<cost>[\d.]+) ")
# Of a partition with a page, or none: no index has less to read. The planner knows its size only
# when the server has looked at it, which it does when it likes.
ONE_PAGE = 3.0


def whole_tables(plan: str) -> list[str]:
    """The lines of *plan*, of PostgreSQL, that read whole tables of more than a page."""
    found = ((line, SCAN_IN_POSTGRESQL.search(line)) for line in plan.splitlines())
    return [line for line, scan in found if scan is not None and float(scan["cost"]) > ONE_PAGE]
