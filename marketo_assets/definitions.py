"""The code location that Dagster loads: built from the environment and marketo.yaml, nothing else."""

from marketo_assets.build import build_defs
from marketo_assets.settings import Settings

defs = build_defs(Settings.from_env())
