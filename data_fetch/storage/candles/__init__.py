"""Candles, revisions and the coverage ledger in tables."""
