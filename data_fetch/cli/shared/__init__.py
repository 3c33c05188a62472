"""What the commands share: output, range options, lazy loading."""
