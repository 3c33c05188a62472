"""The instrument master and the symbols file."""
