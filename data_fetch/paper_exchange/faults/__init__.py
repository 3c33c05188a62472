"""Injected faults: their definitions, and how each changes a response."""
