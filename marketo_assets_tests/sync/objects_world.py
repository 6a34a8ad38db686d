"""Companies, orders, courses and who takes them: a warehouse and a Marketo with custom objects, a cycle at a time."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from marketo_assets.config_sync import SyncConfig
from marketo_assets.marketo.clock import VirtualClock
from marketo_assets.marketo.usage import USAGE_PATH
from marketo_assets.sandbox.marketo import (
    LEAD,
    Emulator,
    EmulatorOptions,
    Fault,
    ObjectField,
    ObjectLink,
    ObjectType,
)
from marketo_assets.sandbox.marketo.faults import FaultPlan
from marketo_assets.settings import Settings
from marketo_assets.sync.objects import ObjectTask, sync_objects
from marketo_assets.sync.objects_checks import results
from marketo_assets.sync.objects_definition import company_sync, custom_object_sync
from marketo_assets.sync.objects_ledger import ObjectLedger
from marketo_assets.sync.objects_report import ObjectReport
from marketo_assets.sync.objects_types import ObjectTypes
from marketo_assets.warehouse.session import Warehouse
from marketo_assets_tests.emulated import EmulatedMarketo

CONFIG = """
sync:
  companies:
    accounts:
      source: {{table: {schema}.ACCOUNTS, key: account_id}}
      owners: ["team:sales"]
      mapping:
        account_id: externalCompanyId
        name: Company Name
        staff: numberOfEmployees
        city: {{to: billingCity, when_null: clear}}
      deletes: delete
      max_delete_share: 0.5
  custom_objects:
    order_c:
      source: {{table: {schema}.ORDERS, key: [order_id]}}
      mapping:
        order_id: orderId
        email: email
        amount: Amount
        placed_on: placedOn
        note: {{to: note, when_too_long: truncate}}
        shipped: shipped
      max_delete_share: 0.5
    course_c:
      source: {{table: {schema}.COURSES, key: [course_id]}}
      mapping: {{course_id: courseId, title: title}}
    enrollment_c:
      source: {{table: {schema}.ENROLLMENTS, key: [email, course_id]}}
      mapping: {{email: email, course_id: courseId, grade: grade}}
      parents: [course_c]
      max_delete_share: 0.5
    dormant_c:
      enabled: false
      source: {{table: {schema}.NOWHERE, key: [id]}}
      mapping: {{id: id}}
"""

TABLES = {
    "ACCOUNTS": "ACCOUNT_ID varchar, NAME varchar, STAFF varchar, CITY varchar",
    "ORDERS": "ORDER_ID number, EMAIL varchar, AMOUNT number(9, 2), PLACED_ON datetime, NOTE varchar, SHIPPED boolean",
    "COURSES": "COURSE_ID varchar, TITLE varchar",
    "ENROLLMENTS": "EMAIL varchar, COURSE_ID varchar, GRADE varchar",
}

ORDER = ObjectType(
    "order_c",
    "Order",
    (
        ObjectField("orderId", "Order Id", "integer"),
        ObjectField("email", "Buyer", "email"),
        ObjectField("amount", "Amount", "float"),
        ObjectField("placedOn", "Placed On", "date"),
        ObjectField("note", "Note", "string", 10),
        ObjectField("shipped", "Shipped", "boolean"),
    ),
    ("orderId",),
    (ObjectLink("email", LEAD, "email"),),
)
COURSE = ObjectType("course_c", "Course", (ObjectField("courseId", "Id"), ObjectField("title", "Title")), ("courseId",))
ENROLLMENT = ObjectType(
    "enrollment_c",
    "Enrollment",
    (ObjectField("email", "Who", "email"), ObjectField("courseId", "What"), ObjectField("grade", "Grade")),
    ("email", "courseId"),
    (ObjectLink("email", LEAD, "email"), ObjectLink("courseId", "course_c", "courseId")),
)

ADA, BOB = "ada@example.com", "bob@example.com"
ACCOUNTS, ORDERS, COURSES, ENROLLMENTS = (
    "companies/accounts",
    "custom_objects/order_c",
    "custom_objects/course_c",
    "custom_objects/enrollment_c",
)


@dataclass
class ObjectsWorld:
    """What a person at the keyboard has: source tables, a Marketo and the settings of a code location."""

    warehouse: Warehouse
    schema: str
    env: Mapping[str, str]
    clock: VirtualClock
    state_dir: Path
    changes: list[tuple[str, str]] = field(default_factory=list)
    tables: set[str] = field(default_factory=set)
    calls: int = 0
    """Calls of the last cycle, without the look at the day's usage that the client takes now and then."""

    def __post_init__(self) -> None:
        self.configure()

    def configure(self, *changes: tuple[str, str]) -> None:
        """Read marketo.yaml, after changes to its text that stay."""
        self.changes += changes
        text = CONFIG.format(schema=self.schema)
        for before, after in self.changes:
            assert before in text
            text = text.replace(before, after)
        Path(self.env["MARKETO_ASSETS_CONFIG"]).write_text(text)
        self.settings = Settings.from_env(self.env)

    @property
    def config(self) -> SyncConfig:
        assert self.settings.config.sync is not None
        return self.settings.config.sync

    @contextmanager
    def open_marketo(self, **options: Any) -> Iterator[None]:
        """Have a Marketo of its own within the block, with three types of custom objects and the leads Ada and Bob."""
        types = (ORDER, COURSE, ENROLLMENT)
        with closing(Emulator(EmulatorOptions(custom_objects=types, **options), self.clock)) as self.emulator:
            self.emulator.fill(2, [ADA, BOB], duplicate_share=0)
            self.marketo = EmulatedMarketo(self.emulator, self.clock, self.state_dir)
            yield

    def misbehave(self, *faults: Fault) -> None:
        """From now on Marketo has these faults and no others."""
        self.emulator._faults = FaultPlan(faults)

    def put(self, table: str, *rows: Sequence[Any]) -> None:
        """Add rows to a source table, which the first ones make."""
        self._make(table)
        values = {f"v{at}_{place}": value for at, row in enumerate(rows) for place, value in enumerate(row)}
        lines = (", ".join(f"%(v{at}_{place})s" for place in range(len(row))) for at, row in enumerate(rows))
        self.warehouse.execute(
            f"insert into {self.schema}.{table} values " + ", ".join(f"({line})" for line in lines), **values
        )

    def put_many(self, table: str, **columns: Sequence[Any]) -> None:
        """Add many rows to a source table."""
        self._make(table)
        with self.warehouse.staged(pa.table(columns)) as staged:
            names = ", ".join(columns)
            self.warehouse.execute(f"insert into {self.schema}.{table} ({names}) select {names} from {staged}")

    def _make(self, table: str) -> None:
        if table not in self.tables:
            self.tables.add(table)
            self.warehouse.execute(f"create table {self.schema}.{table} ({TABLES[table]})")

    def change(self, table: str, what: str) -> None:
        """Update a source table (`set …`), delete from it (`where …`) or alter it."""
        verb = {"set": "update", "whe": "delete from"}.get(what[:3], "alter table")
        self.warehouse.execute(f"{verb} {self.schema}.{table} {what}")

    def sync(
        self, name: str, *, after: float = 300, ledger: type[ObjectLedger] = ObjectLedger, **options: bool
    ) -> ObjectReport:
        """One cycle of one entry of marketo.yaml, `after` seconds, as its asset does it."""
        self.clock.advance(after)
        section, entry = name.split("/")
        if section == "companies":
            sync = company_sync(entry, self.config.companies[entry])
        else:
            sync = custom_object_sync(entry, self.config.custom_objects[entry])
        with self.marketo.client() as client:
            try:
                return sync_objects(
                    ObjectTask(
                        sync,
                        client,
                        self.warehouse,
                        ledger(self.warehouse, sync, "run", self.clock),
                        ObjectTypes(self.warehouse, sync, "run", self.clock),
                        calls=self.marketo.concurrent_calls,
                        **options,
                    )
                )
            finally:
                self.calls = client.stats.calls - client.stats.calls_by_endpoint.get(USAGE_PATH, 0)

    def marketo_has(self, kind: str, *fields: str) -> list[tuple[Any, ...]]:
        """The records of a type: the values of some fields, in order."""
        return sorted((tuple(each.get(name) for name in fields) for each in self.emulator.records(kind)), key=str)

    def states(self) -> dict[str, int]:
        """The ledger: records by state."""
        rows = self.warehouse.rows("select state, count(*) as n from SYNC_OBJECTS group by 1 order by 1")
        return {row["state"]: row["n"] for row in rows}


def outcome(report: ObjectReport) -> dict[str, int]:
    """What became of rows and records, without what did not occur. Each row has ended, or this fails."""
    assert report.is_accounted_for
    return {name: count for name, count in sorted(report.counts.items()) if count}


def failed_checks(report: ObjectReport) -> dict[str, dg.AssetCheckSeverity]:
    """The checks that a person would see as failed."""
    return {str(each.check_name): each.severity for each in results(report) if not each.passed}


@pytest.fixture(name="world")
def objects_world(
    warehouse_env: dict[str, str],
    warehouse: Warehouse,
    source_schema: str,
    marketo_clock: VirtualClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[ObjectsWorld]:
    """No source tables yet, and a Marketo with three types of custom objects and the leads Ada and Bob."""
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
    world = ObjectsWorld(warehouse, source_schema, env, marketo_clock, tmp_path / "api")
    with world.open_marketo():
        yield world
