"""Backups of a store as files."""
