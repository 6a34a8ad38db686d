"""A mirror beside an emulated Marketo, without Dagster: people change leads, the feed tells, all is compared."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import requests

from marketo_assets.config import PumpConfig, load_config
from marketo_assets.config_sync import LeadSyncConfig
from marketo_assets.extract.store import ActivityStore
from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.clock import VirtualClock
from marketo_assets.marketo.leads import describe_leads
from marketo_assets.sandbox import processes
from marketo_assets.sandbox.contacts import open_warehouse
from marketo_assets.sandbox.marketo import Emulator, EmulatorTransport
from marketo_assets.sandbox.marketo.faults import Fault, FaultPlan
from marketo_assets.sync.apply import apply_changes
from marketo_assets.sync.canonical import canonical
from marketo_assets.sync.contact_store import create_tables
from marketo_assets.sync.feed import read_feed
from marketo_assets.sync.fields import sync_fields
from marketo_assets.sync.mirror import Mirror
from marketo_assets.sync.reconcile import Reconciled, reason_to_reconcile, reconcile
from marketo_assets.warehouse.session import Row, Warehouse
from marketo_assets_tests.emulated import EmulatedMarketo
from marketo_assets_tests.sandbox.emulator_calls import Api

CONFIG = """
pumps:
  contacts:
    source: {table: CONTACTS, key: email, updated_at: last_changed}
    mapping:
      email: email
      first_name: firstName
      is_customer: "[CDB] Is Paid Tier"
sync:
  leads:
    start: 2026-02-01
    pump: contacts
    extra_fields: [leadScore]
    deletes: flag
"""
COLUMNS = ("email", "first_name", "is_customer")
SYNC_START = "start: 2026-02-01"
CREATE = "POST /bulk/v1/leads/export/create.json"


@contextmanager
def opened_database(port: int) -> Iterator[Warehouse]:
    """A database for the tests of a module, with all tables: making them takes longer than most of the tests."""
    with open_warehouse(processes.snowflake_environment(port, f"T_{uuid.uuid4().hex[:12]}".upper())) as warehouse:
        ActivityStore(warehouse, "setup", VirtualClock(0)).create_tables()
        create_tables(warehouse)
        yield warehouse


def emptied(warehouse: Warehouse) -> Warehouse:
    """The same without a row in the tables that a reconciliation has to do with."""
    for table in ("LEADS", "LEAD_CHANGES", "SYNC_WATERMARKS", "EXPORT_JOBS"):
        warehouse.execute(f"truncate table {table}")
    return warehouse


class Watched(EmulatorTransport):
    """Notes the calls, and lets something happen just before the first file is fetched: after its job was made."""

    def __init__(self, emulator: Emulator, world: "ReconcileWorld") -> None:
        super().__init__(emulator)
        self._world = world

    def send(self, request: requests.PreparedRequest, *arguments: Any, **named: Any) -> requests.Response:
        self._world.calls.append(f"{request.method} {request.path_url}")
        if request.path_url.endswith("/file.json") and (happens := self._world.before_file):
            self._world.before_file = None
            happens()
        return super().send(request, *arguments, **named)


@dataclass
class ReconcileWorld:
    """What a reconciliation has to do with."""

    warehouse: Warehouse
    emulator: Emulator
    clock: VirtualClock
    folder: Path
    calls: list[str] = field(default_factory=list)
    before_file: Callable[[], object] | None = None
    runs: int = 0

    def __post_init__(self) -> None:
        self.api = Api("http://127.0.0.1", EmulatorTransport(self.emulator))
        self.marketo = EmulatedMarketo(
            self.emulator, self.clock, self.folder / "api", transport=lambda emulator: Watched(emulator, self)
        )
        self.configure()

    def configure(self, *changes: tuple[str, str]) -> None:
        """Read marketo.yaml, after changes to CONFIG."""
        text = CONFIG
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        path = self.folder / "marketo.yaml"
        path.write_text(text)
        config = load_config(path)
        assert config.sync is not None
        assert config.sync.leads is not None
        self.config: LeadSyncConfig = config.sync.leads
        self.pump: PumpConfig = config.pumps["contacts"]
        with self.marketo.client() as client:
            self.fields = sync_fields(self.config, self.pump, describe_leads(client), COLUMNS)

    def misbehave(self, *faults: Fault) -> None:
        """From now on Marketo has these faults and no others."""
        self.emulator._faults = FaultPlan(faults)

    def store(self) -> ActivityStore:
        return ActivityStore(self.warehouse, f"run {self.runs}", self.clock)

    # What people do in Marketo

    def lead(self, email: str, **values: Any) -> int:
        """A new lead, or other values of the lead of this e-mail."""
        (result,) = self._people().sync({"email": email, **values})
        return int(result["id"])

    def change(self, lead_id: int, **values: Any) -> None:
        self._people().sync({"id": lead_id, **values}, action="updateOnly", lookupField="id")

    def merge(self, winner: int, loser: int) -> None:
        reply = self._people().post(f"leads/{winner}/merge.json", leadId=str(loser))
        assert reply["success"], reply

    def delete(self, *ids: int) -> None:
        assert self._people().post("leads/delete.json", {"input": [{"id": each} for each in ids]})["success"]

    def _people(self) -> Api:
        self.clock.advance(22)  # they do not use up the window of the sync, nor happen in one second
        self.api.sign_in()
        return self.api

    # What the sync does

    def feed(self) -> None:
        """Read it and apply it."""
        with self._opened() as (client, mirror):
            read_feed(client, self.warehouse, self.store(), f"run {self.runs}", self.fields.names)
            apply_changes(mirror, self.config.deletes, (), calls=1)

    def reconcile(self, *, is_told: bool = True) -> Reconciled:
        """One run. `is_told` is false where the feed is to tell of nothing."""
        self.clock.advance(60)
        self.runs += 1
        with self._opened() as (client, mirror):
            return reconcile(
                client,
                self.warehouse,
                mirror,
                self.fields,
                self.config,
                run_id=f"run {self.runs}",
                exclusive=self.marketo.syncs,
                catch_up=self.feed if is_told else lambda: None,
                folder=self.marketo.folder,
                poll_seconds=60,
                calls=1,
            )

    def needs(self) -> str | None:
        """Why the mirror is not complete."""
        return reason_to_reconcile(self.store(), self.fields)

    @contextmanager
    def _opened(self) -> Iterator[tuple[MarketoClient, Mirror]]:
        with self.marketo.client() as client:
            yield client, Mirror(self.warehouse, f"run {self.runs}", client, self.fields)

    # What there is

    def jobs_made(self) -> int:
        return sum(call == CREATE for call in self.calls)

    def rows(self, sql: str, **values: Any) -> list[Row]:
        """Look into the warehouse."""
        return self.warehouse.rows(sql, **values)

    def mirrored(self) -> dict[int, dict[str, Any]]:
        """Live leads of the mirror by id."""
        rows = self.rows(
            "select lead_id, to_json(fields) as fields from LEADS where merged_into is null and deleted_at is null"
        )
        return {int(row["lead_id"]): orjson.loads(row["fields"]) for row in rows}

    def in_marketo(self) -> dict[int, dict[str, Any]]:
        """The same as Marketo has it."""
        leads = self.emulator.leads(["id", *self.fields.names])
        kinds = self.fields.types.items()
        return {int(lead["id"]): {name: canonical(lead[name], kind) for name, kind in kinds} for lead in leads}

    def live(self) -> set[int]:
        """Ids of the live leads of the mirror."""
        return {*self.mirrored()}

    def leftovers(self) -> list[str]:
        """Files on the disk."""
        return [path.name for path in self.marketo.folder.iterdir() if path.suffix == ".csv"]
