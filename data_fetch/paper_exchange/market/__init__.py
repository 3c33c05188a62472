"""The invented market: instruments, prices, option contracts."""
