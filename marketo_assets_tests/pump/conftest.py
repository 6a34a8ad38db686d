"""A pump of a few columns over the shared Snowflake and S3 and an emulator of its own, driven through Dagster."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from mypy_boto3_s3.service_resource import Bucket as S3Bucket

from marketo_assets.build import build_defs
from marketo_assets.marketo.clock import VirtualClock
from marketo_assets.pump.files import Bucket
from marketo_assets.sandbox.marketo import Emulator
from marketo_assets.sandbox.marketo.faults import Fault, FaultPlan
from marketo_assets.settings import Settings
from marketo_assets.warehouse.session import Row, Warehouse
from marketo_assets_tests.emulated import EmulatedMarketo

PUMP = """
pumps:
  contacts:
    source: {{table: {table}, key: email_address, updated_at: last_changed}}
    duplicates: {duplicates}
    max_rows_per_file: {rows_per_file}
    mapping:
      email_address: email
      first_name: "[CDB] First Name"
      company_name: {{to: "[CDB] Company Name", when_null: clear}}
      pql_list_stages: {{to: "[PQL] Stage names activated by namespace", when_too_long: truncate}}
      gitlab_dotcom_user_id: "[CDB] GitLab.com User ID"
      is_paid_tier: "[CDB] Is Paid Tier"
      customer_db_created_date: "[CDB] Customer DB Created Date"
      gitlab_dotcom_last_login_date: "[CDB] GitLab.com Last Login Date"
"""

TABLE = """
create table {table} (
    EMAIL_ADDRESS varchar, FIRST_NAME varchar, COMPANY_NAME varchar, PQL_LIST_STAGES varchar,
    GITLAB_DOTCOM_USER_ID number(38, 0), IS_PAID_TIER boolean, CUSTOMER_DB_CREATED_DATE date,
    GITLAB_DOTCOM_LAST_LOGIN_DATE timestamp_ntz, LAST_CHANGED timestamp_ntz, NOT_MAPPED varchar
)
"""


@dataclass(frozen=True)
class SharedS3:
    """Stands where S3Resource does, with a client made once: S3Resource takes half a second for each."""

    client: Any

    def get_client(self) -> Any:
        return self.client


@dataclass
class PumpWorld:
    """What a person at the keyboard has: a contact table, a bucket, a Marketo and Dagster."""

    instance: dg.DagsterInstance
    warehouse: Warehouse
    table: str
    s3: S3Bucket
    marketo: EmulatedMarketo
    env: Mapping[str, str]
    runs: list[dg.ExecuteInProcessResult] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.load()

    def load(self, *changes: tuple[str, str]) -> None:
        """Build the code location, after changes to the text of marketo.yaml."""
        path = Path(self.env["MARKETO_ASSETS_CONFIG"])
        for before, after in changes:
            text = path.read_text()
            assert before in text
            path.write_text(text.replace(before, after))
        self.settings = Settings.from_env(self.env)
        self.resources = {"marketo": self.marketo, "s3": SharedS3(self.s3.meta.client)}
        self.definitions = build_defs(self.settings, resources=self.resources)
        self.bucket = Bucket(self.s3.meta.client, self.settings.bucket, f"{self.settings.prefix}/contacts/")

    @property
    def emulator(self) -> Emulator:
        return self.marketo.emulator

    @property
    def clock(self) -> VirtualClock:
        return self.marketo.clock

    def misbehave(self, *faults: Fault) -> None:
        """From now on Marketo has these faults and no others."""
        self.emulator._faults = FaultPlan(faults)

    def contacts(self, *rows: Mapping[str, Any]) -> None:
        """Put contacts into the source table."""
        for row in rows:
            columns = ", ".join(row)
            values = ", ".join(f"%({name})s" for name in row)
            self.warehouse.execute(f"insert into {self.table} ({columns}) select {values}", **row)

    def drop(self, *, retry_refused: bool = False) -> dict[str, Any]:
        """Materialize contacts/drop; returns its metadata."""
        result = self._materialize(
            ["contacts", "drop"], run_config={"ops": {"contacts__drop": {"config": {"retry_refused": retry_refused}}}}
        )
        assert result.success
        return self.metadata(result)

    def put(self, path: str, content: bytes, metadata: Mapping[str, str] | None = None) -> None:
        """Put a file on S3 that nobody announced."""
        self.s3.put_object(Key=f"{self.bucket.prefix}{path}", Body=content, Metadata=dict(metadata or {}))

    def tick(self) -> Sequence[dg.RunRequest]:
        """One tick of the files' sensor: the runs it asks for."""
        sensor = self.definitions.resolve_sensor_def("contacts_files_sensor")
        with dg.build_sensor_context(instance=self.instance, resources={"s3": self.resources["s3"]}) as context:
            result: Any = sensor(context)
        if isinstance(result, dg.SkipReason):
            return []
        for request in result.dynamic_partitions_requests:
            self.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        return list(result.run_requests or [])

    def new_partitions(self) -> Sequence[str]:
        """One tick of the files' sensor: the partitions it asks runs for."""
        return [str(request.partition_key) for request in self.tick()]

    def leads(self, partition: str) -> dg.ExecuteInProcessResult:
        """Run contacts/leads for one file."""
        return self._materialize(["contacts", "leads"], partition_key=partition)

    def sync(self) -> list[dg.ExecuteInProcessResult]:
        """What the sensor and the daemon would do: a tick, and its runs one after the other."""
        return [self.leads(partition) for partition in self.new_partitions()]

    def sync_one(
        self, content: bytes, path: str = "file.csv", metadata: Mapping[str, str] | None = None
    ) -> dg.ExecuteInProcessResult:
        """Put one file and run it."""
        self.put(path, content, metadata)
        (result,) = self.sync()
        return result

    def _materialize(self, key: list[str], **arguments: Any) -> dg.ExecuteInProcessResult:
        result = self.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            asset_selection=[dg.AssetKey(key)],
            instance=self.instance,
            raise_on_error=False,
            **arguments,
        )
        self.runs.append(result)
        return result

    @staticmethod
    def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
        """Metadata of the one materialization of a run."""
        (event,) = result.get_asset_materialization_events()
        return {
            name: [record.data for record in value.records] if isinstance(value, dg.TableMetadataValue) else value.value
            for name, value in event.materialization.metadata.items()
        }

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
        user = event.step_failure_data.user_failure_data
        return "\n".join([*texts, user.description or "" if user else ""])

    def results(self) -> list[Row]:
        """The ledger: every row of every file."""
        return self.warehouse.rows(
            "select file, row_number, status, code, reason, lead_id from LEAD_SYNC_RESULTS"
            " order by file, version, row_number"
        )

    def files(self) -> list[Row]:
        """The ledger: every file."""
        return self.warehouse.rows(
            "select file, version, state, origin, row_count, reason from PUMP_FILES order by opened_at, file"
        )

    def statuses(self) -> list[tuple[int, str, str | None]]:
        """The ledger of a world with one file: row number, status, code."""
        return [(row["row_number"], row["status"], row["code"]) for row in self.results()]


@pytest.fixture
def pump_env(warehouse_env: dict[str, str], s3_env: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The environment of a code location."""
    return {
        **warehouse_env,
        **s3_env,
        "MARKETO_BASE_URL": "http://127.0.0.1",
        "MARKETO_CLIENT_ID": "id",
        "MARKETO_CLIENT_SECRET": "secret",
        "MARKETO_ASSETS_CONFIG": str(tmp_path / "marketo.yaml"),
        "DAGSTER_HOME": str(tmp_path),
    }


@pytest.fixture
def make_world(
    instance: dg.DagsterInstance,
    pump_env: dict[str, str],
    warehouse: Warehouse,
    source_schema: str,
    s3_bucket: S3Bucket,
    marketo: Emulator,
    marketo_clock: VirtualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., PumpWorld]:
    """Build a world; keyword arguments change its marketo.yaml."""

    def make(*, duplicates: str = "latest_updated", rows_per_file: int = 1000) -> PumpWorld:
        table = f"{source_schema}.CONTACTS"
        warehouse.execute(TABLE.format(table=table))
        config = PUMP.format(table=table, duplicates=duplicates, rows_per_file=rows_per_file)
        Path(pump_env["MARKETO_ASSETS_CONFIG"]).write_text(config)
        for name, value in pump_env.items():
            monkeypatch.setenv(name, value)
        emulated = EmulatedMarketo(marketo, marketo_clock, Path(pump_env["DAGSTER_HOME"]) / "api")
        return PumpWorld(instance, warehouse, table, s3_bucket, emulated, pump_env)

    return make


@pytest.fixture
def world(make_world: Any) -> PumpWorld:
    """The world as marketo.yaml's defaults make it."""
    made: PumpWorld = make_world()
    return made
