"""Marketo's activities come into the warehouse by day, through bulk extract or page by page."""
