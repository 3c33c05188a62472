"""Instruments, their terms and contracts in tables."""
