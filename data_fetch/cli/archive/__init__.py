"""The commands of `data-fetch archive`."""
