"""Last traded prices: freshness, volume checks, results per instrument."""
