"""Days of data that are kept in files: what they are, and which of them are due."""
