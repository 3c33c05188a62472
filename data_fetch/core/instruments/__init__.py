"""Instruments, the F&O universe, renames."""
