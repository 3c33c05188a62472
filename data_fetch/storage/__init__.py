"""Tables, column types, the one upsert, and one module per dataset."""
