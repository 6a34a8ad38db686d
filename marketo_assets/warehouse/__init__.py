"""The warehouse: sessions, bulk load and SQL quoting. Nothing here knows Dagster or Marketo."""
