"""NSE F&O market data, every minute accounted for."""

__version__ = "0.1.0"
