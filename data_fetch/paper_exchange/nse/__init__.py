"""The wire format of NSE's website."""
