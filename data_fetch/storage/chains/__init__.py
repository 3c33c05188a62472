"""Chain snapshots, legs, summaries and receipts in tables."""
