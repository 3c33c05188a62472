"""The symbols file: finds, reads and writes it.

`core.instruments.universe` decides what the symbols stand for.
"""

import csv
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import takewhile
from pathlib import Path

from data_fetch import PACKAGE_FOLDER
from data_fetch.core.errors import SymbolsFileBad
from data_fetch.core.instruments.near_symbols import plain_symbol
from data_fetch.core.instruments.universe import Underlyings
from data_fetch.core.settings import Settings
from data_fetch.core.text import (
    ESCAPED_AMPERSAND,
    INSTRUMENT_KEY,
    QUOTATION_MARKS,
    listed_names,
    symbol_form,
)

FILE_NAME = "nse_fo_stock_symbols.txt"
SHIPPED = (PACKAGE_FOLDER / "packaged" / FILE_NAME, PACKAGE_FOLDER.parent / FILE_NAME)

# Headings of the column with the symbols, and of the others, in tables that exchanges offer.
SYMBOL_COLUMNS = {"SYMBOL", "SYMBOLS", "TRADING SYMBOL", "TRADINGSYMBOL", "TICKER", "SCRIP"}
OTHER_COLUMNS = {
    "NAME", "COMPANY", "COMPANY NAME", "NAME OF COMPANY", "UNDERLYING", "ISIN", "ISIN CODE",
    "ISIN NUMBER", "SERIES", "INDUSTRY", "SECTOR", "EXCHANGE", "LOT SIZE", "LTP", "OPEN", "HIGH",
    "LOW", "CLOSE", "VOLUME",
}  # fmt: skip
DELIMITERS = ",;\t"
WELL_FORMED = re.compile(r"[A-Z0-9][A-Z0-9&\- ]*")
LONGEST_SYMBOL = 40

TITLE = "# NSE F&O universe"
HOW_TO = (
    "# One symbol a line, or several with commas; "
    "`data-fetch universe --from-master --write` renews it."
)
HINT = "Write a fresh one with: data-fetch universe --from-master --write"


@dataclass(frozen=True, slots=True)
class Malformed:
    """An entry of the symbols file that cannot be a trading symbol, and why."""

    line: int
    entry: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolsFile:
    """The contents of the symbols file, and the corrections made while reading.

    *symbols* are distinct, upper case, in the file's order; *duplicates* has one entry for
    each repetition left out.
    """

    path: Path
    symbols: tuple[str, ...]
    duplicates: tuple[str, ...]
    comments: int
    malformed: tuple[Malformed, ...]

    @property
    def entries(self) -> tuple[str, ...]:
        """The symbols and the malformed entries: the input of `resolve`."""
        return (*self.symbols, *dict.fromkeys(bad.entry for bad in self.malformed))

    def __str__(self) -> str:
        summary = f"{self.path}: {len(self.symbols)} symbols"
        if self.duplicates:
            summary += f", {len(self.duplicates)} duplicates skipped"
        if self.malformed:
            summary += f", {len(self.malformed)} malformed entries"
        return summary


class FoStocksLoader:
    """Finds and reads the symbols file. Does nothing before the first call."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings

    def load_fo_stocks_from_file(self) -> SymbolsFile:
        """The symbols of the configured file, else of the working folder's, else the shipped.

        Raises SymbolsFileBad when the file is missing, is not text or holds no symbol.
        """
        return read_symbols_file(self._path())

    def path_to_write(self) -> Path:
        """The user's own file: the configured one or the one of the working folder."""
        settings = self._settings()
        return settings.folder / (settings.symbols_file or FILE_NAME)

    def _path(self) -> Path:
        own = self.path_to_write()
        if self._settings().symbols_file is not None:
            return own
        return next((path for path in (own, *SHIPPED) if path.is_file()), own)


def read_symbols_file(path: Path) -> SymbolsFile:
    """The symbols in the file at *path*. Raises as `load_fo_stocks_from_file` does."""
    found = parse_symbols(_text_of(path), path)
    if not found.symbols:
        first = f": {found.malformed[0].reason}" if found.malformed else ""
        raise SymbolsFileBad(f"the symbols file {path} holds no symbol{first}", hint=HINT)
    return found


def parse_symbols(text: str, path: Path) -> SymbolsFile:
    """The symbols in *text*: one per line or several with commas; `#` begins a comment.

    Of a table with headings the column of the symbols is read. Raises SymbolsFileBad for a table
    without one.
    """
    try:
        table = _symbol_column(text, path)
    except csv.Error as problem:
        raise SymbolsFileBad(
            f"the symbols file {path} is no list and no table ({problem})", hint=HINT
        ) from None
    listed = _listed(text) if table is None else table
    return _symbols_file(path, listed, sum("#" in line for line in text.splitlines()))


def _listed(text: str) -> Iterator[tuple[int, str]]:
    """Each name of a list, with the number of its line."""
    for number, line in enumerate(text.splitlines(), start=1):
        for name in listed_names(line.partition("#")[0]):
            yield number, name


def _symbol_column(text: str, path: Path) -> list[tuple[int, str]] | None:
    """The column of the symbols, if *text* is a table with headings, with the numbers of the lines.

    Further lines of headings inside the table are left out.
    """
    first = next((line for line in text.splitlines() if line.partition("#")[0].strip()), "")
    delimiter = max(DELIMITERS, key=first.count)
    rows = csv.reader(text.splitlines(keepends=True), delimiter=delimiter)
    column: int | None = None
    found: list[tuple[int, str]] = []
    for row in rows:
        cells = [" ".join(cell.split()).upper() for cell in row]
        if column is None and any(cells) and not cells[0].startswith("#"):
            column = next((at for at, cell in enumerate(cells) if cell in SYMBOL_COLUMNS), None)
            if column is None and len(OTHER_COLUMNS.intersection(cells)) > 1:
                raise SymbolsFileBad(
                    f"the symbols file {path} is a table without a column SYMBOL", hint=HINT
                )
            if column is None:
                return None
        elif column is not None and column < len(cells) and not cells[0].startswith("#"):
            name = row[column].replace(ESCAPED_AMPERSAND, "&").strip()
            if name and cells[column] not in SYMBOL_COLUMNS:
                found.append((rows.line_num, name))
    return found if column is not None else None


def _symbols_file(path: Path, listed: Iterable[tuple[int, str]], comments: int) -> SymbolsFile:
    symbols: dict[str, None] = {}
    duplicates: list[str] = []
    malformed: list[Malformed] = []
    for number, entry in listed:
        symbol = symbol_form(entry)
        reason = _defect_of(symbol)
        if reason:
            malformed.append(Malformed(number, entry[:LONGEST_SYMBOL], reason))
        elif symbol in symbols:
            duplicates.append(symbol)
        else:
            symbols[symbol] = None
    return SymbolsFile(
        path=path,
        symbols=tuple(symbols),
        duplicates=tuple(duplicates),
        comments=comments,
        malformed=tuple(malformed),
    )


@dataclass(frozen=True, slots=True)
class Changes:
    """The symbols that writing the symbols file added and removed."""

    added: tuple[str, ...]
    removed: tuple[str, ...]


def write_symbols_file(path: Path, listed: Underlyings, as_of: date) -> Changes:
    """Write exactly the *listed* symbols to the file at *path*; keep the comments at its top.

    The file is replaced atomically, and only if something has changed. Raises SymbolsFileBad when
    the existing file is not a symbols file or cannot be replaced.
    """
    text = _text_of(path) if path.exists() else ""
    before = set(parse_symbols(text, path).symbols)
    now = set(listed.symbols)
    changes = Changes(tuple(sorted(now - before)), tuple(sorted(before - now)))
    if changes.added or changes.removed:
        _replace(path, _listing(listed, as_of, _own_header(text)))
    return changes


def _own_header(text: str) -> list[str]:
    """The comment lines at the top, without the generated title."""
    top = takewhile(lambda line: line.startswith("#"), text.splitlines())
    return [line for line in top if not line.startswith(TITLE)] or [HOW_TO]


def _listing(listed: Underlyings, as_of: date, header: Sequence[str]) -> str:
    title = (
        f"{TITLE} of {as_of}: {len(listed.indices)} index underlyings, {len(listed.stocks)} stocks."
    )
    lines = [title, *header, "", "# Indices", *listed.indices, "", "# Stocks", *listed.stocks]
    return "\n".join(lines) + "\n"


def _replace(path: Path, text: str) -> None:
    fresh = path.resolve().with_name(f".{path.name}.{os.getpid()}.part")
    try:
        fresh.write_text(text, encoding="utf-8", newline="\n")
        os.replace(fresh, path.resolve())
    except OSError as problem:
        raise SymbolsFileBad(
            f"the symbols file {path} cannot be written ({problem.strerror})",
            hint="Make its folder writable, or name another place in FNO_SYMBOLS_FILE.",
        ) from problem
    finally:
        fresh.unlink(missing_ok=True)


def _text_of(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise SymbolsFileBad(
            f"the symbols file {path} cannot be read ({problem.strerror})", hint=HINT
        ) from problem
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise _not_text(path) from problem
    if "\0" in text:
        raise _not_text(path)
    return text


def _not_text(path: Path) -> SymbolsFileBad:
    return SymbolsFileBad(
        f"the symbols file {path} is not UTF-8 text",
        hint=f"Save it as UTF-8, or move it away. {HINT}",
    )


def _defect_of(symbol: str) -> str:
    """The reason why *symbol* cannot be a trading symbol; empty when it can."""
    if WELL_FORMED.fullmatch(symbol) and len(symbol) <= LONGEST_SYMBOL:
        return ""
    if not symbol:
        return "there is nothing between the quotation marks"
    if len(symbol) > LONGEST_SYMBOL:
        return f"longer than {LONGEST_SYMBOL} characters"
    if INSTRUMENT_KEY.fullmatch(symbol):
        return ""
    plain = plain_symbol(symbol)
    instead = f"; write {plain}" if plain != symbol and WELL_FORMED.fullmatch(plain) else ""
    if symbol[0] in QUOTATION_MARKS or symbol[-1] in QUOTATION_MARKS:
        return f"its quotation marks do not match{instead}"
    return f"a trading symbol has only letters, digits, & and -{instead}"


def _process_settings() -> Settings:
    return Settings.load(os.environ, Path.cwd())


fo_stocks_loader = FoStocksLoader(_process_settings)
