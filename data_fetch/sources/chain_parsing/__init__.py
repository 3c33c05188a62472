"""What parsers of option chains share, whichever provider the chain is from."""
