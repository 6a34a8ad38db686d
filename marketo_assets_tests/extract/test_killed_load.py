"""Loads that are killed.

Guards against: an export job paid for twice because its run was killed, rows of a killed run doubled by the next one,
counted as late or never marked, and files that stay on the disk.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from marketo_assets.marketo.bulk_extract import exports
from marketo_assets.sandbox.marketo import Emulator, EmulatorOptions
from marketo_assets_tests.extract.conftest import ExtractWorld, days


@pytest.fixture
def lasting(world: ExtractWorld, tmp_path: Path) -> Iterator[Path]:
    """The state file of a Marketo that outlives processes; it takes the place of the one in `world`."""
    state = tmp_path / "marketo.db"
    with closing(Emulator(EmulatorOptions(state=state), world.clock)) as emulator:
        world.marketo = replace(world.marketo, emulator=emulator, state_dir=state.with_suffix(".api"))
        world.configure()
        yield state


def kill(world: ExtractWorld, state: Path, first: str, last: str, kill_at: str) -> None:
    """A load by another process, which shares Marketo, warehouse and disk, until it is killed."""
    module = "marketo_assets_tests.extract.killed_load"
    killed = subprocess.run(
        [sys.executable, "-m", module, first, last, str(state), kill_at, str(world.clock.now())],
        env={**os.environ, **world.env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr


def marketo_jobs(world: ExtractWorld) -> Sequence[str]:
    with world.marketo.client() as client:
        return [job.export_id for job in exports(client, "activities")]


@pytest.mark.parametrize("kill_at", ["noted", "stored"])
def test_a_killed_run_finds_its_job_again(world: ExtractWorld, lasting: Path, kill_at: str) -> None:
    world.configure(("route: auto", "route: bulk"))
    guids = [world.activity(f"2026-02-{day:02}T10:00:00") for day in (1, 15, 28)]
    kill(world, lasting, "2026-02-01", "2026-02-28", kill_at)
    (job,) = marketo_jobs(world)
    world.clock.advance(3_600)
    # More days than the killed run had: its window is another one than these would make.
    result = world.load("2026-01-20", "2026-02-28")
    assert result.success, world.failure(result)
    assert world.guids() == sorted(guids)
    assert world.materialized() == set(days("2026-01-20", "2026-02-28"))
    loaded = world.rows("select export_id, first_day, state from EXPORT_JOBS order by first_day")
    assert [(row["first_day"], row["state"]) for row in loaded] == [
        (date(2026, 1, 20), "loaded"),
        (date(2026, 2, 1), "loaded"),
    ]
    assert loaded[1]["export_id"] == job
    assert len(marketo_jobs(world)) == 2
    told = world.metadata(result)["2026-02-15"]
    assert (told["dagster/partition_row_count"], told["rows_late"]) == (1, 0)
    assert told["route_reason"] == "an earlier run began its export job"
    assert list(world.marketo.folder.glob("*.csv")) == []
