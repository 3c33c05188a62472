"""Use cases, one per job. Siblings: none calls another."""
