"""Upstox: API, token, and one client per dataset."""
