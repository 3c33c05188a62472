"""When to alert, and how: rules over facts, what changed, messages, channels."""
