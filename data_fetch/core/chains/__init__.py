"""Option chains: records, valuation, polling plan."""
