"""Quotes: `ltp_service.collect_now()`, and the classes to build one's own."""

from data_fetch.runtime.shared import ltp_service
from data_fetch.services.freshness import FreshnessMonitor
from data_fetch.services.quotes import LtpService

__all__ = ["FreshnessMonitor", "LtpService", "ltp_service"]
