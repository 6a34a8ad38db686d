"""Changed contacts become CSV files on S3; each new file becomes Marketo lead upserts."""
