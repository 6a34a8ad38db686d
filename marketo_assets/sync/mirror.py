"""The mirror of Marketo's leads: the changes of the feed applied in order, new leads and winners of merges read whole.

A change older than the state a lead was read in is left out: the reading had it already. Losers of a merge point to the
last winner of the chain.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import orjson
import pyarrow as pa

from marketo_assets.extract.rows import moment
from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.clock import utc_now
from marketo_assets.marketo.in_flight import in_flight
from marketo_assets.marketo.leads import MAX_FILTER_VALUES, leads_by_filter
from marketo_assets.pump.reader import normalise_key
from marketo_assets.sync.canonical import canonical, record_hash
from marketo_assets.sync.fields import SyncFields
from marketo_assets.warehouse.session import Row, Warehouse

CHANGES_AT_ONCE: Final = 30_000

BOUND_IDS: Final = 1_000
"""So many ids go with the statement; more are loaded into a table first, which takes as long as ten statements."""

_SCHEMA: Final = pa.schema(
    [
        ("lead_id", pa.int64()),
        ("contact_key", pa.string()),
        ("fields", pa.string()),
        ("field_times", pa.string()),
        ("fields_hash", pa.string()),
        ("as_of", pa.timestamp("us")),
        ("merged_into", pa.int64()),
        ("deleted_at", pa.timestamp("us")),
        ("is_dropped", pa.bool_()),
    ]
)
_COMPANY_SCHEMA: Final = pa.schema(
    [
        ("external_company_id", pa.string()),
        ("field", pa.string()),
        ("new_value", pa.string()),
        ("lead_id", pa.int64()),
        ("marketo_guid", pa.string()),
        ("changed_at", pa.timestamp("us")),
    ]
)


@dataclass
class Lead:
    """One lead of the mirror, and what has happened to it."""

    lead_id: int
    fields: dict[str, str | None]
    as_of: datetime
    """What happened before is in `fields`. Naive UTC, as all times here."""
    field_times: dict[str, str] = field(default_factory=dict)
    """When a field was last changed, as far as the feed told, in ISO 8601."""
    merged_into: int | None = None
    deleted_at: datetime | None = None

    @property
    def is_live(self) -> bool:
        """Whether Marketo still has it."""
        return self.merged_into is None and self.deleted_at is None


class Mirror:
    """The table LEADS through one warehouse session."""

    def __init__(self, warehouse: Warehouse, run_id: str, client: MarketoClient, fields: SyncFields) -> None:
        """`run_id` is written beside every row."""
        self._warehouse = warehouse
        self._run_id = run_id
        self._client = client
        self._fields = fields
        self._types = fields.types
        # Documented with the REST name, and seen with the display name.
        self._by_name = {each.display_name: each.name for each in fields.mirrored}
        self._by_name |= {each.name: each.name for each in fields.mirrored}

    def unapplied(self) -> list[Row]:
        """Changes that are not in the mirror yet, the oldest first, up to a bound."""
        return self._warehouse.rows(
            "select marketo_guid, lead_id, activity_date, activity_type_id, fields, losers from LEAD_CHANGES"
            " where applied_at is null order by activity_date, activity_id, marketo_guid"
            f" limit {CHANGES_AT_ONCE}"
        )

    def leads(self, ids: Iterable[int]) -> dict[int, Lead]:
        """Those of them that the mirror has, and those that were merged into one of them."""
        wanted = sorted(set(ids))
        if not wanted:
            return {}
        select = "select lead_id, to_json(fields) as fields, field_times, as_of, merged_into, deleted_at from LEADS"
        if len(wanted) <= BOUND_IDS:
            rows = self._warehouse.rows(f"{select} where lead_id in (%(ids)s) or merged_into in (%(ids)s)", ids=wanted)
        else:
            with self._warehouse.staged(pa.table({"lead_id": pa.array(wanted, pa.int64())})) as staged:
                among = f"in (select lead_id from {staged})"
                rows = self._warehouse.rows(f"{select} where lead_id {among} or merged_into {among}")
        return {int(row["lead_id"]): lead_of(row) for row in rows}

    def read(self, ids: Iterable[int], *, calls: int) -> dict[int, Lead]:
        """As Marketo has them now, 300 a call; without those that it does not have."""
        wanted = sorted(set(ids))
        groups = [wanted[start : start + MAX_FILTER_VALUES] for start in range(0, len(wanted), MAX_FILTER_VALUES)]
        leads: dict[int, Lead] = {}
        for found in in_flight(groups, self._read, calls=calls):
            leads |= found
        return leads

    def from_marketo(self, values: Mapping[str, Any], as_of: datetime) -> Lead:
        """A lead of Marketo's, values by REST name."""
        fields = {name: canonical(values.get(name), kind) for name, kind in self._types.items()}
        return Lead(int(values["id"]), fields, as_of)

    def changed_fields(self, text: str, unknown: set[str]) -> dict[str, str | None]:
        """The new values of a change by REST name."""
        told: dict[str, Any] = orjson.loads(text)
        unknown |= told.keys() - self._by_name.keys()
        names = {self._by_name[name]: value for name, value in told.items() if name in self._by_name}
        return {name: canonical(value, self._types[name]) for name, value in names.items()}

    def replace(
        self,
        leads: Iterable[Lead],
        *,
        dropped: Iterable[int] = (),
        applied: Sequence[str] = (),
        company_changes: Sequence[dict[str, Any]] = (),
    ) -> None:
        """Store these leads as they are, drop others, mark changes (by guid) as applied: all or nothing."""
        now = utc_now(self._client.clock).replace(tzinfo=None)
        rows = [*map(self._row, leads), *({"lead_id": lead_id, "is_dropped": True} for lead_id in dropped)]
        with ExitStack() as stack:
            statements = []
            if rows:
                staged = stack.enter_context(self._warehouse.staged(pa.Table.from_pylist(rows, schema=_SCHEMA)))
                statements += [f"delete from LEADS using {staged} s where LEADS.lead_id = s.lead_id", _insert(staged)]
            if applied:
                guids = stack.enter_context(self._warehouse.staged(pa.table({"guid": pa.array(applied, pa.string())})))
                statements.append(
                    f"update LEAD_CHANGES set applied_at = %(now)s::timestamp_ntz from {guids} g"
                    " where LEAD_CHANGES.marketo_guid = g.guid and %(run)s <> ''"
                )
            if company_changes:
                table = pa.Table.from_pylist([*company_changes], schema=_COMPANY_SCHEMA)
                statements.append(_insert_company_changes(stack.enter_context(self._warehouse.staged(table))))
            with self._warehouse.transaction():
                for sql in statements:
                    self._warehouse.execute(sql, run=self._run_id, now=now)

    def _read(self, ids: Sequence[int]) -> dict[int, Lead]:
        asked = ["id", "updatedAt", *self._fields.names]
        found = leads_by_filter(self._client, "id", [str(each) for each in ids], asked)
        leads = [self.from_marketo(lead, moment(lead["updatedAt"])) for lead in found]
        return {lead.lead_id: lead for lead in leads}

    def _row(self, lead: Lead) -> dict[str, Any]:
        key = lead.fields.get(self._fields.mapping.key.field.name)
        return {
            "lead_id": lead.lead_id,
            "contact_key": normalise_key(key) if key else None,
            "fields": orjson.dumps(lead.fields).decode(),
            "field_times": orjson.dumps(lead.field_times).decode(),
            "fields_hash": record_hash(lead.fields),
            "as_of": lead.as_of,
            "merged_into": lead.merged_into,
            "deleted_at": lead.deleted_at,
            "is_dropped": False,
        }


def lead_of(row: Row) -> Lead:
    """A row of LEADS, `fields` as text."""
    merged_into = row.get("merged_into")
    return Lead(
        int(row["lead_id"]),
        orjson.loads(row["fields"]),
        row["as_of"],
        orjson.loads(row["field_times"]),
        None if merged_into is None else int(merged_into),
        row.get("deleted_at"),
    )


def _insert(staged: str) -> str:
    stored = [name for name in _SCHEMA.names if name != "is_dropped"]
    return (
        f"insert into LEADS ({', '.join(stored)}, run_id, loaded_at)"
        f" select {', '.join('parse_json(fields)' if name == 'fields' else name for name in stored)},"
        f" %(run)s, %(now)s::timestamp_ntz from {staged} where not is_dropped"
    )


def _insert_company_changes(staged: str) -> str:
    names = ", ".join(_COMPANY_SCHEMA.names)
    return f"insert into COMPANY_CHANGES ({names}, run_id) select {names}, %(run)s from {staged} where %(now)s <> ''"
