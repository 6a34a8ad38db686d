"""Assembles the code location from explicit lists. What an asset, sensor or resource does belongs elsewhere."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from marketo_assets.extract.assets import build_extract_assets
from marketo_assets.extract.schedules import build_resume_sensor, build_schedules
from marketo_assets.pump.assets import build_assets
from marketo_assets.pump.sensors import build_schedule, build_sensor
from marketo_assets.resources import build_resources
from marketo_assets.settings import Settings
from marketo_assets.sync.assets import build_sync_assets
from marketo_assets.sync.schedules import build_sync_job


def build_defs(settings: Settings, *, resources: Mapping[str, Any] | None = None) -> dg.Definitions:
    """The whole code location. `resources` replaces some by name: the one seam for tests."""
    pumps = settings.config.pumps.items()
    drops = [build_schedule(settings, name, pump) for name, pump in pumps]
    extract = [settings.config.extract.activities] if settings.config.extract else []
    sync = settings.config.sync
    defs = dg.Definitions(
        assets=[
            *(asset for name, pump in pumps for asset in build_assets(settings, name, pump)),
            *(asset for config in extract for asset in build_extract_assets(config)),
            *(build_sync_assets(settings.config) if sync else ()),
        ],
        sensors=[
            *(build_sensor(settings, name) for name, _ in pumps),
            *(build_resume_sensor(config, is_on=settings.is_local) for config in extract),
        ],
        schedules=[
            *(schedule for schedule in drops if schedule is not None),
            *(each for config in extract for each in build_schedules(config, is_on=settings.is_local)),
        ],
        resources={**build_resources(settings), **(resources or {})},
        # A run has one step: a process of its own for it would only cost the imports again.
        executor=dg.in_process_executor,
    )
    return dg.Definitions.merge(defs, build_sync_job(sync, is_on=settings.is_local)) if sync else defs
