"""What providers share: pacing, retries, batches."""
