"""A contact table and a Marketo that are kept in step, driven through Dagster under a virtual clock."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import requests
from mypy_boto3_s3.service_resource import Bucket as S3Bucket

from marketo_assets.build import build_defs
from marketo_assets.marketo.clock import VirtualClock
from marketo_assets.sandbox.contacts import open_warehouse
from marketo_assets.sandbox.marketo import Emulator, EmulatorTransport
from marketo_assets.sandbox.marketo.faults import Fault, FaultPlan
from marketo_assets.settings import Settings
from marketo_assets.warehouse.session import Row, Warehouse
from marketo_assets_tests.emulated import EmulatedMarketo
from marketo_assets_tests.pump.conftest import SharedS3
from marketo_assets_tests.sandbox.emulator_calls import Api

CONFIG = """
pumps:
  contacts:
    source: {{table: {table}, key: email, updated_at: last_changed}}
    mapping:
      email: email
      first_name: firstName
      title: {{to: title, when_null: clear}}
      phone: phone
      company_id: externalCompanyId
      is_customer: "[CDB] Is Paid Tier"
sync:
  leads:
    start: 2026-02-01
    pump: contacts
    conflicts: warehouse
    conflicts_by_field: {{phone: marketo, title: latest}}
    deletes: flag
    lost_leads: leave
    deleted_contacts: leave
    max_delete_share: 0.5
    pull: {{columns: {{phone: phone_in_marketo, leadScore: score, firstName: first_name_in_marketo}}}}
"""

TABLE = """
create table {table} (
    EMAIL varchar, FIRST_NAME varchar, TITLE varchar, PHONE varchar, COMPANY_ID varchar, IS_CUSTOMER boolean,
    LAST_CHANGED timestamp_ntz
)
"""


REST_NAMES = {
    "first_name": "firstName",
    "title": "title",
    "phone": "phone",
    "company_id": "externalCompanyId",
    "is_customer": "cDBIsPaidTier",
}


class KilledError(BaseException):
    """The process is dead."""


@dataclass
class SharedWarehouse:
    """Stands where WarehouseResource does: the test's own session where it is free, for a login takes its time."""

    shared: Warehouse
    env: Mapping[str, str]
    is_free: bool = True

    @contextmanager
    def session(self) -> Iterator[Warehouse]:
        if not self.is_free:
            with open_warehouse(self.env) as session:
                yield session
            return
        self.is_free = False
        try:
            yield self.shared
        finally:
            self.is_free = True


class Overheard(EmulatorTransport):
    """Notes what the project asks Marketo."""

    def __init__(self, emulator: Emulator, calls: list[str]) -> None:
        super().__init__(emulator)
        self._calls = calls

    def send(self, request: requests.PreparedRequest, *arguments: Any, **more: Any) -> requests.Response:
        self._calls.append(f"{request.method} {request.path_url}")
        return super().send(request, *arguments, **more)


@dataclass
class SyncWorld:
    """What people on both sides have, and the one who runs the sync."""

    instance: dg.DagsterInstance
    warehouse: Warehouse
    table: str
    s3: S3Bucket
    marketo: EmulatedMarketo
    env: Mapping[str, str]
    marketo_calls: list[str]
    runs: list[dg.ExecuteInProcessResult] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._files_taken = 0
        self.load()
        self.api = Api("http://127.0.0.1", EmulatorTransport(self.emulator))

    def load(self, *changes: tuple[str, str]) -> None:
        """Build the code location, after changes to the text of marketo.yaml."""
        path = Path(self.env["MARKETO_ASSETS_CONFIG"])
        text = path.read_text()
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        path.write_text(text)
        settings = Settings.from_env(self.env)
        self.resources = {
            "marketo": self.marketo,
            "s3": SharedS3(self.s3.meta.client),
            "warehouse": SharedWarehouse(self.warehouse, self.env),
        }
        self.definitions = build_defs(settings, resources=self.resources)
        self.job = self.definitions.resolve_job_def("database_sync")

    @property
    def emulator(self) -> Emulator:
        return self.marketo.emulator

    @property
    def clock(self) -> VirtualClock:
        return self.marketo.clock

    def misbehave(self, *faults: Fault) -> None:
        """From now on Marketo has these faults and no others."""
        self.emulator._faults = FaultPlan(faults)

    # What people do in the warehouse

    def contact(self, email: str, **values: Any) -> None:
        """A new contact, or other values of one."""
        now = datetime.fromtimestamp(self.clock.now(), UTC).replace(tzinfo=None)
        row = {**values, "last_changed": now}
        sets = ", ".join(f"{name} = %({name})s" for name in row)
        if not self.warehouse.execute(f"update {self.table} set {sets} where email = %(email)s", email=email, **row):
            row["email"] = email
            self.warehouse.execute(
                f"insert into {self.table} ({', '.join(row)}) select {', '.join(f'%({name})s' for name in row)}", **row
            )

    def forget(self, email: str) -> None:
        """A contact is deleted."""
        self.warehouse.execute(f"delete from {self.table} where email = %(email)s", email=email)

    def linked(self, email: str, **values: Any) -> int:
        """A new contact and a lead with the same values, which the first sync links; the lead's id."""
        self.contact(email, **values)
        return self.lead(email, **{REST_NAMES[name]: value for name, value in values.items()})

    # What people do in Marketo

    def lead(self, email: str, **values: Any) -> int:
        """A new lead, or other values of the lead of this e-mail."""
        self.clock.advance(1)
        (result,) = self.person().sync({"email": email, **values})
        return int(result["id"])

    def change(self, lead_id: int, **values: Any) -> None:
        """Other values of a lead."""
        self.clock.advance(1)
        self.person().sync({"id": lead_id, **values}, action="updateOnly", lookupField="id")

    def merge(self, winner: int, *losers: int) -> None:
        """Two or more leads become one."""
        self.clock.advance(1)
        reply = self.person().post(f"leads/{winner}/merge.json", leadIds=",".join(map(str, losers)))
        assert reply["success"], reply

    def delete(self, *ids: int) -> None:
        """Leads are deleted."""
        self.clock.advance(1)
        assert self.person().post("leads/delete.json", {"input": [{"id": each} for each in ids]})["success"]

    def in_marketo(self, lead_id: int, *fields: str) -> dict[str, Any]:
        """What a lead has now; {} if there is none."""
        found = self.person().get(f"lead/{lead_id}.json", fields=",".join(fields)).get("result") or [{}]
        return {name: found[0].get(name) for name in fields} if found[0] else {}

    def person(self) -> Api:
        """At the keyboard, signed in."""
        self.clock.advance(21)  # people do not use up the window of the sync
        self.api.sign_in()
        return self.api

    # The sync

    def sync(self, *, minutes: int = 5) -> dg.ExecuteInProcessResult:
        """A run of the whole job, and of the files that it dropped."""
        self.clock.advance(minutes * 60)
        first = len(self.marketo_calls)
        self.last_sync = self.job.execute_in_process(instance=self.instance, raise_on_error=False)
        self.runs.append(self.last_sync)
        self.files()
        self._of_last_sync = self.marketo_calls[first:]
        return self.last_sync

    def mirror(self, *, minutes: int = 5) -> dg.ExecuteInProcessResult:
        """The part of the sync that reads Marketo, for those who look at nothing else: half of its time."""
        self.clock.advance(minutes * 60)
        first = len(self.marketo_calls)
        paths = (("marketo", "lead_changes"), ("marketo", "leads"), ("contacts", "from_marketo"))
        result = self.materialize(*(dg.AssetKey(path) for path in paths))
        assert result.success, self.failure()
        self._of_last_sync = self.marketo_calls[first:]
        return result

    def materialize(self, *keys: dg.AssetKey, **arguments: Any) -> dg.ExecuteInProcessResult:
        """One run of these assets."""
        result = self.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            asset_selection=[*keys], instance=self.instance, raise_on_error=False, **arguments
        )
        self.runs.append(result)
        return result

    def files(self) -> None:
        """What the sensor and the daemon would do."""
        sensor = self.definitions.resolve_sensor_def("contacts_files_sensor")
        with dg.build_sensor_context(instance=self.instance, resources={"s3": self.resources["s3"]}) as context:
            result: Any = sensor(context)
        if isinstance(result, dg.SkipReason):
            return
        for request in result.dynamic_partitions_requests:
            self.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        for request in result.run_requests or []:
            self._files_taken += 1
            self.materialize(dg.AssetKey(["contacts", "leads"]), partition_key=request.partition_key)

    def settle(self) -> None:
        """Sync until nothing is under way: after a file made a lead of a contact, the next sync links them."""
        while True:
            before = self._files_taken
            assert self.sync().success, self.failure()
            if self._files_taken == before:
                return

    def failure(self) -> str:
        """What the last failed run tells a person."""
        failed = [run for run in self.runs if not run.success]
        if not failed:
            return ""
        event = failed[-1].get_step_failure_events()[0]
        error = event.step_failure_data.error
        texts = []
        while error is not None:
            texts.append(error.message)
            error = error.cause
        return "\n".join(texts)

    def calls_of_last_sync(self) -> list[str]:
        """What Marketo was asked, as method and path; signing in does not count against the budget."""
        return [call for call in self._of_last_sync if "/identity/" not in call]

    def writes_of_last_sync(self) -> list[str]:
        """Of these, the calls that may change something in Marketo."""
        return [call for call in self.calls_of_last_sync() if call.startswith("POST") and "_method=GET" not in call]

    def lead_ids(self) -> list[int]:
        """Leads that contacts are linked to, by the contacts' keys."""
        rows = self.rows("select lead_id from SYNC_CONTACTS where state = 'linked' order by contact_key")
        return [int(row["lead_id"]) for row in rows]

    def state(self) -> dict[str, list[Row]]:
        """All that a sync may change in the warehouse, but for when it looked."""
        return {
            "contacts": self.rows(f"select * from {self.table} order by email"),
            "links": self.rows(
                "select contact_key, lead_id, state, contact_fingerprint, lead_hash, bases from SYNC_CONTACTS"
                " order by contact_key"
            ),
            "leads": self.rows(
                "select lead_id, to_json(fields) as fields, merged_into, deleted_at from LEADS order by 1"
            ),
            "beside": self.rows("select * from CONTACTS_FROM_MARKETO order by lead_id"),
            "conflicts": self.rows("select * from SYNC_CONFLICTS order by conflict_id"),
            "writes": self.rows("select * from SYNC_WRITES order by contact_key, written_at"),
        }

    def state_of_both(self) -> tuple[list[Row], list[Row]]:
        """The contact table and the links."""
        return self.rows(f"select * from {self.table} order by email"), self.rows(
            "select contact_key, lead_id, state, contact_fingerprint, lead_hash, bases from SYNC_CONTACTS order by 1"
        )

    def told(self, result: dg.ExecuteInProcessResult, *key: str) -> dict[str, Any]:
        """Metadata of an asset's materialization in a run."""
        assert result.success, self.failure()
        (event,) = result.asset_materializations_for_node("__".join(key))
        return {
            name: [record.data for record in value.records] if isinstance(value, dg.TableMetadataValue) else value.value
            for name, value in event.metadata.items()
        }

    @staticmethod
    def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
        """Whether each check passed."""
        return {each.check_name: each.passed for each in result.get_asset_check_evaluations()}

    def rows(self, sql: str, **values: Any) -> list[Row]:
        """Look into the warehouse."""
        return self.warehouse.rows(sql, **values)


@pytest.fixture
def make_world(  # noqa: PLR0917 - what a world is made of
    instance: dg.DagsterInstance,
    warehouse_env: dict[str, str],
    s3_env: dict[str, str],
    warehouse: Warehouse,
    source_schema: str,
    s3_bucket: S3Bucket,
    marketo: Emulator,
    marketo_clock: VirtualClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., SyncWorld]:
    """Build a world, after changes to the text of marketo.yaml."""

    def make(*changes: tuple[str, str]) -> SyncWorld:
        table = f"{source_schema}.CONTACTS"
        warehouse.execute(TABLE.format(table=table))
        env = {
            **warehouse_env,
            **s3_env,
            "MARKETO_BASE_URL": "http://127.0.0.1",
            "MARKETO_CLIENT_ID": "id",
            "MARKETO_CLIENT_SECRET": "secret",
            "MARKETO_ASSETS_CONFIG": str(tmp_path / "marketo.yaml"),
            "DAGSTER_HOME": str(tmp_path),
        }
        text = CONFIG.format(table=table)
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        Path(env["MARKETO_ASSETS_CONFIG"]).write_text(text)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        calls: list[str] = []
        emulated = EmulatedMarketo(marketo, marketo_clock, tmp_path / "api", transport=lambda e: Overheard(e, calls))
        return SyncWorld(instance, warehouse, table, s3_bucket, emulated, env, calls)

    return make


@pytest.fixture
def world(make_world: Callable[..., SyncWorld]) -> SyncWorld:
    """The world as CONFIG has it."""
    return make_world()
