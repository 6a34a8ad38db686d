"""marketo_assets keeps a Snowflake warehouse and an Adobe Marketo Engage instance in step, as Dagster assets."""
