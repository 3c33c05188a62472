"""The `data-fetch` command: one module per noun."""
