"""The symbols file: `fo_stocks_loader.load_fo_stocks_from_file()`."""

from data_fetch.sources.instruments.symbols_file import FoStocksLoader, fo_stocks_loader

__all__ = ["FoStocksLoader", "fo_stocks_loader"]
