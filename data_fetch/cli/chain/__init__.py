"""`data-fetch chain`: one module per subcommand."""
