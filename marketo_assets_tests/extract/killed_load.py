"""A load of days in a process of its own that is killed at the moment asked for.

`python -m marketo_assets_tests.extract.killed_load FIRST LAST STATE KILL_AT NOW` with the environment of a code
location; KILL_AT is "noted" (the job is in Marketo and in the warehouse, and not yet enqueued) or "stored" (the file is
on the disk, its rows are in the table, the job is not done with).
"""

import os
import signal
import sys
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

import dagster as dg

from marketo_assets.extract import load
from marketo_assets.extract.export_jobs import ExportJobs
from marketo_assets.extract.store import ActivityStore
from marketo_assets.extract.windows import Window
from marketo_assets.marketo.clock import VirtualClock
from marketo_assets.resources import build_resources
from marketo_assets.sandbox.marketo import Emulator, EmulatorOptions
from marketo_assets.settings import Settings
from marketo_assets_tests.emulated import EmulatedMarketo


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


class LastJobs(ExportJobs):
    """Its process does not outlive the first job."""

    def note(self, *arguments: Any, **named: Any) -> None:
        super().note(*arguments, **named)
        die()


class LastStore(ActivityStore):
    """Its process does not outlive the rows of its first days."""

    def record_loads(self, *_: Any, **__: Any) -> NoReturn:
        die()


def main(first: date, last: date, state: Path, kill_at: str, now: float) -> None:
    clock = VirtualClock(now)
    emulated = EmulatedMarketo(Emulator(EmulatorOptions(state=state), clock), clock, state.with_suffix(".api"))
    with dg.build_resources(build_resources(Settings.from_env())) as resources, emulated.client() as client:
        warehouse: Any = resources.warehouse
        with warehouse.session() as session:
            store = LastStore(session, "killed", clock)
            store.create_tables()
            config = Settings.from_env().config.extract
            assert config
            task = load.LoadTask(
                client=client,
                store=store,
                jobs=(LastJobs if kill_at == "noted" else ExportJobs)(session, "killed", clock),
                type_ids=(1, 3, 6, 12),
                route=config.activities.route,
                lookback=config.activities.lookback,
                exclusive=emulated.activity_writes,
                folder=emulated.folder,
                poll_seconds=60,
                calls=10,
            )
            for _ in load.load_days(task, Window(first, last).days):
                pass


if __name__ == "__main__":
    main(
        date.fromisoformat(sys.argv[1]),
        date.fromisoformat(sys.argv[2]),
        Path(sys.argv[3]),
        sys.argv[4],
        float(sys.argv[5]),
    )
