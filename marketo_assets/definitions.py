"""The code location that Dagster loads: built from the environment and marketo.yaml, nothing else.

Every run is a process of its own and begins here. What it imports stays, so the collector need not look through it
again and again meanwhile: that was a third of the time.
"""

import gc

gc.disable()  # before the imports: they are what it is for

from marketo_assets.build import build_defs  # noqa: E402 - after the line above, see there
from marketo_assets.settings import Settings  # noqa: E402 - as above

gc.freeze()
gc.enable()

defs = build_defs(Settings.from_env())
