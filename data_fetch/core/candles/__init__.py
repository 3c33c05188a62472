"""Candles, coverage, gaps, and the requests that fill them."""
