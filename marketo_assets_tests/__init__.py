"""Tests of marketo_assets."""
