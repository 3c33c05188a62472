"""Measurements against bare versions of the same work, in the same run."""
