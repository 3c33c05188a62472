"""A server that speaks the provider's wire format with invented, repeatable prices."""
