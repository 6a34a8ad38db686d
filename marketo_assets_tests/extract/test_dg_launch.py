"""Days loaded from the command line: `dg launch --assets … --partition-range FIRST...LAST`.

Guards against: a range that the command refuses, or of which it loads one day and marks them all. The clock is the
real one here, the emulator answers over HTTP.
"""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster_dg_cli.cli.launch import launch_command

from marketo_assets.marketo.clock import SystemClock
from marketo_assets.sandbox import processes
from marketo_assets.sandbox.marketo import Emulator, EmulatorOptions, LocalServer
from marketo_assets.warehouse.session import Warehouse

CONFIG = "extract: {activities: {start: 2026-01-01, types: [Visit Webpage], route: bulk}}\n"
LOCATION = """
from marketo_assets.build import build_defs
from marketo_assets.settings import Settings

defs = build_defs(Settings.from_env())
"""


@pytest.fixture
def emulator(warehouse_env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    options = EmulatorOptions(export_seconds=0.0, export_refresh_seconds=0.0)
    (tmp_path / "marketo.yaml").write_text(CONFIG)
    (tmp_path / "location.py").write_text(LOCATION)
    (tmp_path / "home").mkdir()
    with closing(Emulator(options, SystemClock())) as emulator, LocalServer(emulator) as server:
        environment = {
            **warehouse_env,
            **processes.marketo_environment(server.url, options),
            "MARKETO_EXPORT_POLL_SECONDS": "0.1",
            "MARKETO_ASSETS_CONFIG": str(tmp_path / "marketo.yaml"),
            "PUMP_BUCKET": "unused",
            "DAGSTER_HOME": str(tmp_path / "home"),
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield emulator


def test_a_range_of_days_is_launched_from_the_command_line(
    emulator: Emulator, warehouse: Warehouse, tmp_path: Path
) -> None:
    last = datetime.now(UTC).date() - timedelta(days=3)
    asked = [last - timedelta(days=number) for number in (2, 1, 0)]
    for day in [asked[0] - timedelta(days=1), *asked]:
        emulator.add_activities(1, [1], datetime(day.year, day.month, day.day, 10, tzinfo=UTC).timestamp())
    command = ["-f", str(tmp_path / "location.py"), "--assets", "marketo/activities"]
    result = CliRunner().invoke(launch_command, [*command, "--partition-range", f"{asked[0]}...{asked[-1]}"])
    assert result.exit_code == 0, result.output
    rows = warehouse.rows("select to_date(activity_date) as day from ACTIVITIES order by 1")
    assert [row["day"] for row in rows] == asked
    assert len(warehouse.rows("select * from EXPORT_JOBS")) == 1
    with dg.DagsterInstance.get() as instance:
        marked = instance.get_materialized_partitions(dg.AssetKey(["marketo", "activities"]))
    assert marked == {day.isoformat() for day in asked}
