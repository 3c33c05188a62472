"""Forms of the symbols file, and the remarks on them."""

import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from data_fetch.core.errors import SymbolsFileBad
from data_fetch.core.instruments.universe import Underlyings
from data_fetch.core.settings import Settings
from data_fetch.sources.instruments.symbols_file import (
    FILE_NAME,
    SYMBOL_COLUMNS,
    Changes,
    FoStocksLoader,
    parse_symbols,
    read_symbols_file,
    write_symbols_file,
)

HERE = Path("symbols.txt")


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        pytest.param("RELIANCE\nTCS\n", ["RELIANCE", "TCS"], id="one a line"),
        pytest.param("RELIANCE,TCS, INFY", ["RELIANCE", "TCS", "INFY"], id="with commas"),
        pytest.param("RELIANCE;TCS", ["RELIANCE", "TCS"], id="with semicolons"),
        pytest.param("RELIANCE,\n,TCS,,\n", ["RELIANCE", "TCS"], id="extra commas"),
        pytest.param("RELIANCE\r\nTCS\r\n", ["RELIANCE", "TCS"], id="lines of Windows"),
        pytest.param("\n\n  RELIANCE\t\n\n", ["RELIANCE"], id="blank lines and blanks"),
        pytest.param("\"RELIANCE\", 'TCS'", ["RELIANCE", "TCS"], id="quotation marks"),
        pytest.param("“RELIANCE”", ["RELIANCE"], id="quotation marks of a word processor"),
        pytest.param("reliance\nTcs", ["RELIANCE", "TCS"], id="lower case"),
        pytest.param("# head\nTCS # tail", ["TCS"], id="comments"),
        pytest.param("M&M\nBAJAJ-AUTO\n360ONE", ["M&M", "BAJAJ-AUTO", "360ONE"], id="signs"),
        pytest.param("Nifty   Next 50", ["NIFTY NEXT 50"], id="an index in words"),
        pytest.param("RELIANCE\tTCS", ["RELIANCE", "TCS"], id="with tabs"),
        pytest.param("M&amp;M\nm&amp;mfin, TCS", ["M&M", "M&MFIN", "TCS"], id="from a web page"),
        pytest.param(
            "NSE_EQ|INE002A01018, NSE_INDEX|Nifty 50",
            ["NSE_EQ|INE002A01018", "NSE_INDEX|Nifty 50"],
            id="instrument keys",
        ),
        pytest.param(
            'SYMBOL,NAME\nRELIANCE,RELIANCE INDUSTRIES\nM&M,"MAHINDRA, LTD"\n',
            ["RELIANCE", "M&M"],
            id="a table",
        ),
        pytest.param(
            "Company Name;Industry;Symbol;Series\nTCS Ltd;IT;TCS;EQ\n",
            ["TCS"],
            id="a table with semicolons",
        ),
        pytest.param("NAME\tSYMBOL\nNifty\tNIFTY\n", ["NIFTY"], id="a table with tabs"),
        pytest.param(
            '"SYMBOL \n","OPEN \n","HIGH \n"\n"TCS","3,010.00","1"\n', ["TCS"], id="as NSE offers"
        ),
        pytest.param(
            "UNDERLYING,SYMBOL,NOV\nNIFTY 50,NIFTY ,65\nStocks,Symbol,NOV\nTata,TCS ,175\n",
            ["NIFTY", "TCS"],
            id="headings again inside",
        ),
        pytest.param("# F&O\nsymbol\nTCS\n", ["TCS"], id="a heading alone"),
        pytest.param("TCS\nINFY\ntcs", ["TCS", "INFY"], id="a duplicate keeps its first place"),
    ],
)
def test_the_symbols_are_read_whatever_the_style(text: str, symbols: list[str]) -> None:
    found = parse_symbols(text, HERE)

    assert list(found.symbols) == symbols
    assert found.malformed == ()


def test_it_reports_what_it_did() -> None:
    found = parse_symbols("# a\nTCS # b\ntcs, INFY, TCS\nRELIANCE.NS\n", HERE)

    assert found.duplicates == ("TCS", "TCS")
    assert found.comments == 2
    assert str(found) == "symbols.txt: 2 symbols, 2 duplicates skipped, 1 malformed entries"


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        pytest.param("RELIANCE.NS", "only letters, digits", id="another provider's suffix"),
        pytest.param("NSE:RELIANCE-EQ", "write RELIANCE", id="an exchange and a series"),
        pytest.param("NSE_EQ:TCS", "write TCS", id="a segment"),
        pytest.param("^NSEI", "write NIFTY", id="an index elsewhere"),
        pytest.param("ındıa", "only letters, digits", id="a letter whose capital is another"),
        pytest.param("straße", "only letters, digits", id="a letter without a capital"),
        pytest.param('"RELIANCE', "match; write RELIANCE", id="a quotation mark left open"),
        pytest.param('""', "nothing between", id="an empty pair"),
        pytest.param('"', "do not match", id="a lone quotation mark"),
        pytest.param("<html>", "only letters, digits", id="markup"),
        pytest.param("-RELIANCE", "only letters, digits", id="a leading sign"),
        pytest.param("A" * 41, "longer than 40", id="far too long"),
        pytest.param("RELIANÇE", "only letters, digits", id="a letter the exchange lacks"),
    ],
)
def test_a_malformed_entry_is_reported_with_its_line_and_still_counts(
    entry: str, reason: str
) -> None:
    found = parse_symbols(f"TCS\n{entry}\n", HERE)

    [bad] = found.malformed
    assert bad.line == 2
    assert reason in bad.reason
    assert found.entries == ("TCS", entry[:40])


symbols_of_the_exchange = st.lists(
    st.from_regex(r"[A-Z0-9][A-Z0-9&\-]{0,19}", fullmatch=True), unique=True, min_size=1
)
separators = st.sampled_from(["\n", "\r\n", ",", " , ", "\n\n", ",\n", " # remark\n"])
dressings = st.sampled_from(["{}", '"{}"', "'{}'", "  {}  "])


@given(symbols_of_the_exchange, st.data())
def test_any_list_comes_back_as_it_was_written(symbols: list[str], data: st.DataObject) -> None:
    text = "".join(
        data.draw(dressings).format(symbol) + data.draw(separators) for symbol in symbols
    )

    found = parse_symbols(text, HERE)

    assert list(found.symbols) == symbols
    assert found.malformed == ()


@given(st.text())
def test_nothing_in_any_list_is_dropped_in_silence(text: str) -> None:
    # With a heading it is a table, of which one column is read.
    assume(not any(heading in text.upper() for heading in SYMBOL_COLUMNS))
    found = parse_symbols(text, HERE)

    kept = len(found.symbols) + len(found.duplicates) + len(found.malformed)
    uncommented = [line.partition("#")[0] for line in text.splitlines()]
    parts = [part for line in uncommented for part in re.split("[,;\t]", line)]
    assert kept == sum(1 for part in parts if part.strip())


@pytest.mark.parametrize(
    ("content", "result"),
    [
        pytest.param(b"", "holds no symbol", id="empty"),
        pytest.param(b"# nothing\n\n", "holds no symbol", id="comments only"),
        pytest.param(b"<html><body>404</body></html>", "only letters", id="a web page"),
        pytest.param(b"\x89PNG\r\n\x1a\n\x00\xff", "not UTF-8 text", id="a picture"),
        pytest.param("TCS".encode("utf-16"), "not UTF-8 text", id="UTF-16"),
        pytest.param(b"TCS\x00INFY", "not UTF-8 text", id="with zero bytes"),
    ],
)
def test_a_file_without_symbols_is_an_error_with_a_cure(
    tmp_path: Path, content: bytes, result: str
) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(content)

    with pytest.raises(SymbolsFileBad, match=result) as refused:
        read_symbols_file(path)

    assert "data-fetch universe --from-master --write" in str(refused.value)


def test_a_table_without_symbols_is_not_read_as_a_list() -> None:
    with pytest.raises(SymbolsFileBad, match="a table without a column SYMBOL"):
        parse_symbols("NAME,ISIN\nRELIANCE INDUSTRIES,INE002A01018\n", HERE)


def test_a_missing_file_is_an_error_with_a_cure(tmp_path: Path) -> None:
    with pytest.raises(SymbolsFileBad, match=r"cannot be read.*--from-master --write"):
        read_symbols_file(tmp_path / "nowhere.txt")


def test_a_byte_order_mark_is_not_part_of_the_first_symbol(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(b"\xef\xbb\xbfRELIANCE\r\nTCS")

    assert read_symbols_file(path).symbols == ("RELIANCE", "TCS")


def loader(folder: Path, **environment: str) -> FoStocksLoader:
    return FoStocksLoader(lambda: Settings.load(environment, folder))


def test_without_a_file_of_ones_own_the_shipped_list_is_read(tmp_path: Path) -> None:
    found = loader(tmp_path).load_fo_stocks_from_file()

    assert len(found.symbols) == 214
    assert {"NIFTY", "RELIANCE", "M&M"} <= set(found.symbols)


def test_a_copy_in_the_working_folder_wins_over_the_shipped_list(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("TCS", encoding="utf-8")

    assert loader(tmp_path).load_fo_stocks_from_file().symbols == ("TCS",)


def test_the_configured_file_wins_over_all(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("TCS", encoding="utf-8")
    (tmp_path / "mine.txt").write_text("INFY", encoding="utf-8")

    found = loader(tmp_path, FNO_SYMBOLS_FILE="mine.txt").load_fo_stocks_from_file()

    assert found.symbols == ("INFY",)


def test_a_configured_file_that_is_missing_is_not_replaced_by_another(tmp_path: Path) -> None:
    with pytest.raises(SymbolsFileBad, match=r"mine\.txt"):
        loader(tmp_path, FNO_SYMBOLS_FILE="mine.txt").load_fo_stocks_from_file()


def test_the_documented_call_works_from_any_folder(tmp_path: Path) -> None:
    code = (
        "from data_fetch.sources.instruments.symbols_file import fo_stocks_loader;"
        "print(len(fo_stocks_loader.load_fo_stocks_from_file().symbols))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "214"


LISTED = Underlyings(stocks=("INFY", "M&M"), indices=("NIFTY",))
AS_OF = date(2026, 8, 14)


def test_a_written_file_lists_exactly_the_underlyings(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME

    changes = write_symbols_file(path, LISTED, AS_OF)

    assert changes == Changes(added=("INFY", "M&M", "NIFTY"), removed=())
    assert read_symbols_file(path).symbols == ("NIFTY", "INFY", "M&M")
    assert path.read_text(encoding="utf-8").startswith(
        "# NSE F&O universe of 2026-08-14: 1 index underlyings, 2 stocks.\n"
    )
    assert list(tmp_path.iterdir()) == [path]


def test_renewing_keeps_the_comments_at_the_top_and_reports_what_changed(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_text("# NSE F&O universe of 2025\n# Our desk's list.\nTCS\nINFY # tech\n")

    changes = write_symbols_file(path, LISTED, AS_OF)

    assert changes == Changes(added=("M&M", "NIFTY"), removed=("TCS",))
    top = path.read_text(encoding="utf-8").splitlines()[:3]
    assert top[0].endswith("1 index underlyings, 2 stocks.")
    assert top[1:] == ["# Our desk's list.", ""]


def test_an_up_to_date_file_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_text("nifty, infy, m&m", encoding="utf-8")

    assert write_symbols_file(path, LISTED, AS_OF) == Changes((), ())
    assert path.read_text(encoding="utf-8") == "nifty, infy, m&m"


def test_a_file_that_is_no_text_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"\xff\xd8\xff\xe0")

    with pytest.raises(SymbolsFileBad, match="move it away"):
        write_symbols_file(path, LISTED, AS_OF)

    assert path.read_bytes() == b"\xff\xd8\xff\xe0"
