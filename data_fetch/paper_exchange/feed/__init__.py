"""The sockets of the market data feed: connections that follow the exchange's clock."""
