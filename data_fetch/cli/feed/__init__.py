"""The commands of `data-fetch feed`."""
