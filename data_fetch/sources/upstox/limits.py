"""The rate limits that Upstox publishes for each of its APIs."""

from collections.abc import Mapping
from datetime import timedelta

# Width of a sliding window -> how many requests of one user and API it may contain.
UPSTOX_LIMITS: Mapping[timedelta, int] = {
    timedelta(seconds=1): 50,
    timedelta(minutes=1): 500,
    timedelta(minutes=30): 2000,
}
