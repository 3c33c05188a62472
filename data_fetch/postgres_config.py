"""PostgreSQL: `postgres_config.setup_postgres_for_data_collection()`."""

from data_fetch.runtime.database_setup import PostgresConfig, SetUp, postgres_config

__all__ = ["PostgresConfig", "SetUp", "postgres_config"]
