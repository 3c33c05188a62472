"""Files on disk: raw responses as received."""
