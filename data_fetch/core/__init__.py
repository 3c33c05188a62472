"""The words of the field and the decisions made with them. No I/O, no suppliers."""
