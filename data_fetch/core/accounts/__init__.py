"""Accounts: roles, keys, which names and passwords are accepted, lock-out, and the audit."""
