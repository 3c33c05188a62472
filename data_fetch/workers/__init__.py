"""Workers: processes that take keys of units from the broker, on any machine."""
