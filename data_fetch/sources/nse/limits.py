"""The rate limit of NSE's website."""

from collections.abc import Mapping
from datetime import timedelta

# No limit is published; common practice is 2 to 3.5 seconds between requests.
NSE_LIMITS: Mapping[timedelta, int] = {timedelta(seconds=2.5): 1}
