"""Option mathematics: NumPy arrays in, NumPy arrays out, no I/O."""
