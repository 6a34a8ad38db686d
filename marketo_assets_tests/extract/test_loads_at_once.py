"""Loads at the same time: polls, backfills and a person's own, on one machine.

Guards against: rows that two transactions both add, and export jobs and files of one run that another takes for left
behind.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest

from marketo_assets.extract.export_jobs import ExportJobs
from marketo_assets.extract.load import LoadTask, load_days
from marketo_assets.extract.store import ActivityStore
from marketo_assets.extract.windows import Window
from marketo_assets.marketo.clock import VirtualClock
from marketo_assets.sandbox.contacts import open_warehouse
from marketo_assets.sandbox.marketo import EmulatorOptions
from marketo_assets_tests.extract.conftest import ExtractWorld

SPEED = 100


class FastClock(VirtualClock):
    """Goes by itself, only faster: threads that wait for each other do not run ahead of the others' work."""

    def __init__(self, start: float) -> None:
        super().__init__(start - time.monotonic() * SPEED)

    def now(self) -> float:
        return super().now() + time.monotonic() * SPEED

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds / SPEED)


@pytest.fixture
def marketo_clock() -> VirtualClock:
    return FastClock(datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp())


def load_in_thread(world: ExtractWorld, run: str, route: str, loads: Sequence[Sequence[date]]) -> None:
    """A run with a session of its own."""
    with open_warehouse(dict(world.env)) as session, world.marketo.client() as client:
        task = LoadTask(
            client=client,
            store=ActivityStore(session, run, world.clock),
            jobs=ExportJobs(session, run, world.clock),
            type_ids=(1, 3, 6, 12),
            route="bulk" if route == "bulk" else "rest",
            lookback=timedelta(days=3),
            exclusive=world.marketo.activity_writes,
            folder=world.marketo.folder,
            poll_seconds=5,
            calls=5,
        )
        for wanted in loads:
            list(load_days(task, wanted))


@pytest.mark.parametrize("marketo_options", [EmulatorOptions(export_seconds=5, export_refresh_seconds=5)])
def test_runs_at_the_same_time_double_no_row_and_no_job(world: ExtractWorld) -> None:
    ActivityStore(world.warehouse, "setup", world.clock).create_tables()
    guids = [world.activity(f"2026-02-{day:02}T10:00:00", lead_id=lead) for day in (26, 27, 28) for lead in range(9)]
    guids += [world.activity("2026-03-02T10:00:00", lead_id=lead) for lead in range(9)]
    closed = Window(date(2026, 2, 26), date(2026, 2, 28)).days
    loads = [("bulk", closed), ("bulk", closed), ("rest", closed), ("rest", [date(2026, 3, 2)])]
    with ThreadPoolExecutor(len(loads)) as pool:
        runs = [
            pool.submit(load_in_thread, world, f"run {number}", route, [wanted, wanted])
            for number, (route, wanted) in enumerate(loads)
        ]
        for run in runs:
            run.result()
    assert world.guids() == sorted(guids)
    states = world.rows("select state, count(*) as n from EXPORT_JOBS group by 1")
    assert states == [{"state": "loaded", "n": 4}]
    assert list(world.marketo.folder.glob("*.csv")) == []
