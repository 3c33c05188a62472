"""Last prices from Upstox, in batches of 500."""

from data_fetch.sources.upstox.ltp_client import UpstoxLtpClient

__all__ = ["UpstoxLtpClient"]
