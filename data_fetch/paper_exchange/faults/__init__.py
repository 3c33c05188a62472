"""Injected faults: the orders, and how each one distorts a response."""
