"""The streaming feed of prices: ticks, subscriptions, and whether the connection is alive."""
