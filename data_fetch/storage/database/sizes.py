"""How much room a database takes."""

from sqlalchemy import Connection, func, select, true

from data_fetch.storage.database.engine import is_postgres


def stored_bytes(connection: Connection) -> int:
    """The bytes of the whole database, tables and indexes."""
    if is_postgres(connection):
        size = select(func.pg_database_size(func.current_database()))
    else:
        pages = func.pragma_page_count().table_valued("page_count")
        page = func.pragma_page_size().table_valued("page_size")
        size = select(pages.c.page_count * page.c.page_size).select_from(pages.join(page, true()))
    return int(connection.scalar(size) or 0)
