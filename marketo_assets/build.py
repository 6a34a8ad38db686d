"""Assembles the code location from explicit lists. What an asset, sensor or resource does belongs elsewhere."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from marketo_assets.pump.assets import build_assets
from marketo_assets.pump.sensors import build_schedule, build_sensor
from marketo_assets.resources import build_resources
from marketo_assets.settings import Settings


def build_defs(settings: Settings, *, resources: Mapping[str, Any] | None = None) -> dg.Definitions:
    """The whole code location. `resources` replaces some by name: the one seam for tests."""
    pumps = settings.config.pumps.items()
    schedules = [build_schedule(settings, name, pump) for name, pump in pumps]
    return dg.Definitions(
        assets=[asset for name, pump in pumps for asset in build_assets(settings, name, pump)],
        sensors=[build_sensor(settings, name) for name, _ in pumps],
        schedules=[schedule for schedule in schedules if schedule is not None],
        resources={**build_resources(settings), **(resources or {})},
        # A run has one step: a process of its own for it would only cost the imports again.
        executor=dg.in_process_executor,
    )
