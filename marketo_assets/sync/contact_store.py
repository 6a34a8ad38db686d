"""Contacts and their leads side by side: which to look at, what each had when last in step, what was decided."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson
import pyarrow as pa

from marketo_assets.config import PumpConfig
from marketo_assets.config_sync import LeadSyncConfig
from marketo_assets.marketo.clock import Clock, utc_now
from marketo_assets.pump.source import as_text, latest_contacts, source_names
from marketo_assets.pump.values import CLEAR, Column, cast_column
from marketo_assets.sync.decide import Base
from marketo_assets.sync.fields import SyncFields
from marketo_assets.sync.mirror import Lead, lead_of
from marketo_assets.warehouse.session import Row, Warehouse
from marketo_assets.warehouse.sql import identifier, statement

FIRST_PAGE_ROWS: Final = 600
"""Small, so that Marketo's first call does not wait for more than it takes."""
PAGE_ROWS: Final = 3_000
"""Small enough that the first calls are soon under way: the next page is read and decided meanwhile."""
_PACKAGE: Final = "marketo_assets.sync"
_SETTLED: Final = pa.schema(
    [
        ("contact_key", pa.string()),
        ("lead_id", pa.int64()),
        ("state", pa.string()),
        ("reason", pa.string()),
        ("contact_fingerprint", pa.string()),
        ("lead_hash", pa.string()),
        ("bases", pa.string()),
    ]
)
_WRITES: Final = pa.schema(
    [
        ("contact_key", pa.string()),
        ("lead_id", pa.int64()),
        ("fields", pa.string()),
        ("status", pa.string()),
        ("code", pa.string()),
        ("reason", pa.string()),
    ]
)
_CHOICES: Final = {
    "oldest": "row_number() over (partition by LEADS.contact_key order by LEADS.lead_id) = 1",
    "reject": "count(*) over (partition by LEADS.contact_key) = 1",
}
_LATEST: Final = "row_number() over (partition by LEADS.contact_key order by LEADS.as_of desc, LEADS.lead_id desc) = 1"


@dataclass(frozen=True)
class Contact:
    """A contact as it is now, and what is known of it."""

    key: str
    fingerprint: str
    changed_at: datetime | None
    values: Mapping[str, Any]
    """As Marketo takes them, by REST name; without those of which the warehouse has no opinion."""
    error: str | None
    """Code of the first cell that cannot be read; then nothing of the contact is sent."""
    state: str | None
    """None: it meets its lead for the first time."""
    known_id: int | None
    bases: Mapping[str, Base]
    lead: Lead | None
    """Its lead; None if it has lost it."""
    lost_reason: str


@dataclass(frozen=True)
class Settled:
    """What a contact and its lead were left with."""

    key: str
    lead_id: int
    state: str
    fingerprint: str
    lead_hash: str
    bases: Mapping[str, Base]
    reason: str | None = None


@dataclass(frozen=True)
class Conflict:
    """Both sides had changed a field."""

    key: str
    lead_id: int
    field: str
    now: Base
    conflict_id: str
    winner: str
    rule: str


@dataclass(frozen=True)
class Write:
    """What became of a contact's changes; `fields` by REST name."""

    key: str
    lead_id: int
    fields: Sequence[str]
    status: str
    code: str | None = None
    reason: str | None = None


def create_tables(warehouse: Warehouse) -> None:
    """Create what is missing of the sync's tables and of those it shares; never changes a table that is there."""
    packages = ("marketo_assets.extract", "marketo_assets.pump", _PACKAGE)
    warehouse.create(";\n".join(statement(package, "tables") for package in packages))


class ContactStore:
    """The sync's tables of one pump through one warehouse session."""

    def __init__(
        self,
        warehouse: Warehouse,
        config: LeadSyncConfig,
        pump: PumpConfig,
        fields: SyncFields,
        run_id: str,
        clock: Clock,
    ) -> None:
        """`run_id` is written beside every row."""
        self._warehouse = warehouse
        self._config = config
        self._pump = pump
        self._fields = fields
        self._run_id = run_id
        self._clock = clock

    @contextmanager
    def candidates(self) -> Iterator[str]:
        """A temporary table of the contacts to look at under the name yielded; dropped at the end."""
        snapshot = identifier("SYNC_SNAPSHOT")
        self._warehouse.execute(
            statement(
                _PACKAGE,
                "candidates",
                snapshot=snapshot,
                latest_contacts=latest_contacts(self._pump, self._fields.mapping),
                choice=_CHOICES.get(self._pump.duplicates, _LATEST),
            ),
            pump=self._config.pump,
            lost_is_acted_on=self._config.lost_leads != "leave",
        )
        try:
            yield snapshot
        finally:
            self._warehouse.execute(f"drop table if exists {snapshot}")

    def pages(self, snapshot: str) -> Iterator[list[Contact]]:
        """The contacts to look at with their leads, a bounded number at a time."""
        first, count = 1, FIRST_PAGE_ROWS
        while True:
            table = self._warehouse.arrow(
                "select c.*, to_json(l.fields) as lead_fields, l.field_times, l.as_of"
                f" from {snapshot} c left join LEADS l on l.lead_id = c.target_id"
                " where c.snapshot_row between %(first)s and %(last)s order by c.snapshot_row",
                first=first,
                last=first + count - 1,
            )
            if table.num_rows:
                yield self._contacts(table)
            if table.num_rows < count:
                return
            first, count = first + count, PAGE_ROWS

    def gone(self) -> list[tuple[str, int]]:
        """Key and lead of contacts that the contact table no longer has."""
        names = source_names(self._pump)
        rows = self._warehouse.rows(
            f"with there as (select distinct {names['key_text']} as contact_key from {names['table']})"
            " select s.contact_key, s.lead_id from SYNC_CONTACTS s"
            " left join there on there.contact_key = s.contact_key"
            " where s.pump = %(pump)s and s.state = 'linked' and there.contact_key is null order by 1",
            pump=self._config.pump,
        )
        return [(row["contact_key"], int(row["lead_id"])) for row in rows]

    def linked(self) -> int:
        """Contacts that have a lead."""
        rows = self._warehouse.rows(
            "select count(*) as n from SYNC_CONTACTS where pump = %(pump)s and state = 'linked'", pump=self._config.pump
        )
        return int(rows[0]["n"])

    def note_conflicts(self, conflicts: Sequence[Conflict]) -> int:
        """Before anything follows from them; one that an interrupted run has noted already is not noted again."""
        if not conflicts:
            return 0
        rows = [
            {
                "conflict_id": each.conflict_id,
                "contact_key": each.key,
                "lead_id": each.lead_id,
                "field": each.field,
                "warehouse_hash": each.now.warehouse,
                "marketo_hash": each.now.marketo,
                "winner": each.winner,
                "rule": each.rule,
            }
            for each in conflicts
        ]
        names = ", ".join(rows[0])
        with self._warehouse.staged(pa.Table.from_pylist(rows)) as staged:
            return self._warehouse.execute(
                f"insert into SYNC_CONFLICTS (pump, {names}, run_id, seen_at)"
                f" select %(pump)s, {', '.join(f's.{name}' for name in rows[0])}, %(run)s, %(now)s::timestamp_ntz"
                f" from {staged} s left join SYNC_CONFLICTS c on c.conflict_id = s.conflict_id"
                " where c.conflict_id is null",
                **self._names(),
            )

    def settle(
        self,
        settled: Sequence[Settled],
        writes: Sequence[Write] = (),
        *,
        released: Mapping[str, str | None] | None = None,
    ) -> None:
        """Store what contacts were left with. All or nothing.

        `released`: contacts that are no longer the sync's; the pump takes the fingerprint as sent, None as never sent.
        """
        with ExitStack() as stack:
            statements: list[str] = []
            if settled or released:
                rows = [
                    *map(_settled_row, settled),
                    *({"contact_key": key, "contact_fingerprint": sent} for key, sent in (released or {}).items()),
                ]
                staged = stack.enter_context(self._warehouse.staged(pa.Table.from_pylist(rows, schema=_SETTLED)))
                statements += _settle_statements(staged, has_released=bool(released))
            if writes:
                rows = [_write_row(write) for write in writes]
                staged = stack.enter_context(self._warehouse.staged(pa.Table.from_pylist(rows, schema=_WRITES)))
                statements.append(
                    f"insert into SYNC_WRITES (pump, {', '.join(_WRITES.names)}, run_id, written_at)"
                    f" select %(pump)s, {', '.join(_WRITES.names)}, %(run)s, %(now)s::timestamp_ntz from {staged}"
                )
            if not statements:
                return
            with self._warehouse.transaction():
                for sql in statements:
                    self._warehouse.execute(sql, **self._names())

    def take_over(self, values: Mapping[str, Mapping[str, str | None]]) -> None:
        """Write values of Marketo's into the contact table, by key and column.

        Before the contacts count as in step: a killed run finds both sides equal. Not in one transaction with that,
        for the table may be in a database of its own, and the local stand-in writes to one database at a time.
        """
        by_column: dict[str, list[dict[str, str | None]]] = {}
        for key, columns in values.items():
            for column, value in columns.items():
                by_column.setdefault(column, []).append({"contact_key": key, "value": value})
        schema = pa.schema([("contact_key", pa.string()), ("value", pa.string())])
        names = source_names(self._pump)
        for column, rows in by_column.items():
            with self._warehouse.staged(pa.Table.from_pylist(rows, schema=schema)) as staged:
                self._warehouse.execute(
                    f"update {names['table']} set {identifier(column)} = s.value from {staged} s"
                    f" where {names['key_text']} = s.contact_key"
                )

    def _names(self) -> dict[str, Any]:
        now = utc_now(self._clock).replace(tzinfo=None)
        return {"pump": self._config.pump, "run": self._run_id, "now": now}

    def _contacts(self, table: pa.Table) -> list[Contact]:
        columns = {
            mapped.field.name: cast_column(as_text(table[f"c_{at}"].combine_chunks()).cast(pa.binary()), mapped)
            for at, mapped in enumerate(self._fields.mapping.fields)
        }
        rest = table.drop_columns([name for name in table.column_names if name.startswith("c_")])
        return [_contact(at, row, columns) for at, row in enumerate(rest.to_pylist())]


def _contact(at: int, row: Row, columns: Mapping[str, Column]) -> Contact:
    error = next((column.errors[at] for column in columns.values() if at in column.errors), None)
    values = {} if error else {name: column.values[at] for name, column in columns.items()}
    lead = None
    if row["target_id"] is not None:
        lead = lead_of({**row, "lead_id": row["target_id"], "fields": row["lead_fields"]})
    return Contact(
        key=row["contact_key"],
        fingerprint=row["contact_fingerprint"],
        changed_at=row["changed_at"],
        values={name: None if value is CLEAR else value for name, value in values.items() if value is not None},
        error=error,
        state=row["state"],
        known_id=None if row["known_id"] is None else int(row["known_id"]),
        bases={name: _base(*parts) for name, parts in orjson.loads(row["bases"] or "{}").items()},
        lead=lead,
        lost_reason=row["lost_reason"],
    )


def _base(warehouse: str, marketo: str, taking: str, sending: Sequence[str]) -> Base:
    return Base(warehouse, marketo, taking, tuple(sending))


def _settled_row(each: Settled) -> dict[str, Any]:
    return {
        "contact_key": each.key,
        "lead_id": each.lead_id,
        "state": each.state,
        "reason": each.reason,
        "contact_fingerprint": each.fingerprint,
        "lead_hash": each.lead_hash,
        "bases": orjson.dumps({name: list(base) for name, base in each.bases.items()}).decode(),
    }


def _write_row(each: Write) -> dict[str, Any]:
    return {
        "contact_key": each.key,
        "lead_id": each.lead_id,
        "fields": ",".join(each.fields),
        "status": each.status,
        "code": each.code,
        "reason": each.reason,
    }


def _settle_statements(staged: str, *, has_released: bool) -> list[str]:
    names = ", ".join(_SETTLED.names)
    forget = f"""
        delete from SYNC_CONTACTS using {staged} s
        where SYNC_CONTACTS.pump = %(pump)s and SYNC_CONTACTS.contact_key = s.contact_key
    """
    keep = f"""
        insert into SYNC_CONTACTS (pump, {names}, run_id, synced_at)
        select %(pump)s, {names}, %(run)s, %(now)s::timestamp_ntz from {staged} where lead_id is not null
    """
    if not has_released:
        return [forget, keep]
    forget_sent = f"""
        delete from PUMP_FINGERPRINTS using {staged} s
        where PUMP_FINGERPRINTS.pump = %(pump)s and PUMP_FINGERPRINTS.key = s.contact_key and s.lead_id is null
    """
    take_as_sent = f"""
        insert into PUMP_FINGERPRINTS (pump, key, fingerprint, acknowledged_at)
        select %(pump)s, contact_key, contact_fingerprint, %(now)s::timestamp_ntz
        from {staged} where lead_id is null and contact_fingerprint is not null
    """
    return [forget, keep, forget_sent, take_as_sent]
