"""Option chains: legs, reasons, polling decisions."""
