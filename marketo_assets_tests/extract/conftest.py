"""The extract over the shared Snowflake and an emulator of its own, driven through Dagster under a virtual clock."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from marketo_assets.build import build_defs
from marketo_assets.extract.schedules import RANGE_END_TAG, RANGE_START_TAG
from marketo_assets.marketo.clock import VirtualClock
from marketo_assets.sandbox.marketo import Emulator, EmulatorOptions
from marketo_assets.sandbox.marketo.faults import Fault, FaultPlan
from marketo_assets.settings import Settings
from marketo_assets.warehouse.session import Row, Warehouse
from marketo_assets_tests.emulated import EmulatedMarketo

CONFIG = """
extract:
  activities:
    start: 2026-01-01
    types: [Visit Webpage, Click Link, Send Email, New Lead, Delete Lead]
    lead_fields: [email, Company Name]
    polling_interval: 5m
    route: auto
"""

VISIT, CLICK, SEND = 1, 3, 6


@dataclass
class ExtractWorld:
    """What a person at the keyboard has: a warehouse, a Marketo and Dagster."""

    instance: dg.DagsterInstance
    warehouse: Warehouse
    marketo: EmulatedMarketo
    env: Mapping[str, str]
    runs: list[dg.ExecuteInProcessResult] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.configure()

    def configure(self, *changes: tuple[str, str]) -> None:
        """Build the code location, after changes to the text of marketo.yaml."""
        text = CONFIG
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        Path(self.env["MARKETO_ASSETS_CONFIG"]).write_text(text)
        self.definitions = build_defs(Settings.from_env(self.env), resources={"marketo": self.marketo})

    @property
    def emulator(self) -> Emulator:
        return self.marketo.emulator

    @property
    def clock(self) -> VirtualClock:
        return self.marketo.clock

    def misbehave(self, *faults: Fault) -> None:
        """From now on Marketo has these faults and no others."""
        self.emulator._faults = FaultPlan(faults)

    def go_to(self, moment: str) -> None:
        """Let time pass until a moment in ISO 8601 (UTC)."""
        seconds = datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp() - self.clock.now()
        assert seconds >= 0
        self.clock.advance(seconds)

    def activity(self, at: str, type_id: int = VISIT, lead_id: int = 1, **more: Any) -> str:
        """Have Marketo commit an activity now that happened then; its GUID."""
        seconds = int(datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp())
        (number,) = self.emulator.add_activities(type_id, [lead_id], seconds, **more)
        return str(number)

    def load(self, first: str, last: str | None = None, key: str = "activities") -> dg.ExecuteInProcessResult:
        """Materialize days as a single-run backfill does."""
        tags = {RANGE_START_TAG: first, RANGE_END_TAG: last or first}
        return self.materialize(key, tags=tags)

    def materialize(self, key: str, **arguments: Any) -> dg.ExecuteInProcessResult:
        """One run of one asset."""
        result = self.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            asset_selection=[dg.AssetKey(["marketo", key])],
            instance=self.instance,
            raise_on_error=False,
            **arguments,
        )
        self.runs.append(result)
        return result

    def guids(self) -> list[str]:
        """What the table holds."""
        return [row["marketo_guid"] for row in self.rows("select marketo_guid from ACTIVITIES order by 1")]

    def rows(self, sql: str) -> list[Row]:
        """Look into the warehouse."""
        return self.warehouse.rows(sql)

    def materialized(self, key: str = "activities") -> set[str]:
        """The partitions that Dagster shows as materialized."""
        return self.instance.get_materialized_partitions(dg.AssetKey(["marketo", key]))

    @staticmethod
    def metadata(result: dg.ExecuteInProcessResult) -> dict[str | None, dict[str, Any]]:
        """Metadata by partition."""
        assert result.success
        return {
            event.partition: {name: value.value for name, value in event.materialization.metadata.items()}
            for event in result.get_asset_materialization_events()
        }

    @staticmethod
    def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
        """Whether each check passed."""
        return {each.check_name: each.passed for each in result.get_asset_check_evaluations()}

    @staticmethod
    def failure(result: dg.ExecuteInProcessResult) -> str:
        """What the failed run tells a person."""
        assert not result.success
        (event,) = result.get_step_failure_events()
        error = event.step_failure_data.error
        texts = []
        while error is not None:
            texts.append(error.message)
            error = error.cause
        return "\n".join(texts)


def days(first: str, last: str) -> Sequence[str]:
    """Partition keys."""
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    return [(start + timedelta(days=number)).isoformat() for number in range((end - start).days + 1)]


@pytest.fixture
def marketo_options() -> EmulatorOptions:
    """For a test to override by parametrizing it."""
    return EmulatorOptions()


@pytest.fixture
def marketo(marketo_clock: VirtualClock, marketo_options: EmulatorOptions) -> Iterator[Emulator]:
    """As everywhere, but with the options of the test."""
    with closing(Emulator(marketo_options, marketo_clock)) as emulator:
        yield emulator


@pytest.fixture
def world(
    instance: dg.DagsterInstance,
    warehouse_env: dict[str, str],
    warehouse: Warehouse,
    marketo: Emulator,
    marketo_clock: VirtualClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> ExtractWorld:
    """An empty warehouse, a Marketo with 20 leads, at noon of 2026-03-02."""
    env = {
        **warehouse_env,
        "PUMP_BUCKET": "unused",
        "MARKETO_BASE_URL": "http://127.0.0.1",
        "MARKETO_CLIENT_ID": "id",
        "MARKETO_CLIENT_SECRET": "secret",
        "MARKETO_ASSETS_CONFIG": str(tmp_path / "marketo.yaml"),
        "DAGSTER_HOME": str(tmp_path),
    }
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    marketo.fill(20)
    return ExtractWorld(instance, warehouse, EmulatedMarketo(marketo, marketo_clock, tmp_path / "api"), env)
