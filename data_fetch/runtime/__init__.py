"""Builds the parts of a process; the only room that knows which supplier fits which port."""
