"""Announces new data to other programs."""
