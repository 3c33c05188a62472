"""The wire format of Upstox."""
