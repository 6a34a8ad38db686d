"""Tests of the whole, as a person runs it: a real `dagster dev` over the stand-ins."""
