"""Local Snowflake, S3 and Marketo that speak the real protocols. Imported by cli.py and by tests alone."""
