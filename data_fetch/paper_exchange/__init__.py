"""A server with invented, repeatable prices in the providers' wire formats."""
