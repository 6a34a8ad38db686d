"""Tests of marketo."""
