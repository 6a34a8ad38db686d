"""The Marketo REST client. Nothing here knows Dagster or the warehouse."""
