"""Connections, schema, migrations, the upsert and leadership."""
