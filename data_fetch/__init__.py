"""NSE F&O market data, every minute accounted for."""

from pathlib import Path

__version__ = "0.1.0"

# The installed package, or the one of a checkout: what ships beside the code is found from here.
PACKAGE_FOLDER = Path(__file__).resolve().parent
