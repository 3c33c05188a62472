"""What is shown, as files."""

from collections.abc import Callable
from io import BytesIO

import pyarrow as pa
import streamlit as st
from pyarrow import csv, parquet


def offer(what: str, name: str, table: Callable[[], pa.Table]) -> None:
    """Buttons that download *what*, the *table*, as *name*.csv and *name*.parquet; it is made on a
    click."""
    with st.container(horizontal=True):
        _button(f"{what} as CSV", f"{name}.csv", "text/csv", lambda: csv_bytes(table()))
        _button(
            f"{what} as Parquet",
            f"{name}.parquet",
            "application/vnd.apache.parquet",
            lambda: parquet_bytes(table()),
        )


def _button(title: str, file: str, kind: str, made: Callable[[], bytes]) -> None:
    st.download_button(title, made, file, kind, on_click="ignore", key=file)


def csv_bytes(table: pa.Table) -> bytes:
    """*table* as CSV with a head."""
    file = BytesIO()
    csv.write_csv(table, file)
    return file.getvalue()


def parquet_bytes(table: pa.Table) -> bytes:
    """*table* as a Parquet file."""
    file = BytesIO()
    parquet.write_table(table, file)
    return file.getvalue()
