"""The outside world: the provider's API, its instrument master, its rate limits."""
