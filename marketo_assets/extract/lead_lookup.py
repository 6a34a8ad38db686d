"""Details of the leads that activities name: those not known yet or known too long, 300 a call, the configured fields.

The view that joins them to the activities is in `views`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any, Final

import orjson
import pyarrow as pa

from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.in_flight import in_flight
from marketo_assets.marketo.leads import MAX_FILTER_VALUES, leads_by_filter
from marketo_assets.warehouse.session import Warehouse

PAGE_ROWS: Final = 30_000
"""Ids read from the warehouse at once."""

CALLS_AT_ONCE: Final = 20
"""Calls whose leads are stored together."""

_SCHEMA: Final = pa.schema([("lead_id", pa.int64()), ("fields", pa.string()), ("is_missing", pa.bool_())])


@dataclass
class LeadCounts:
    """What a look-up did, in leads."""

    found: int = 0
    missing: int = 0
    """Marketo has no lead of this id (any more): deleted or merged."""


class LeadTable:
    """The table ACTIVITY_LEADS through one warehouse session."""

    def __init__(self, warehouse: Warehouse, run_id: str, now: float) -> None:
        """`now`: seconds since the epoch, of the whole look-up."""
        self._warehouse = warehouse
        self._run_id = run_id
        self._now = datetime.fromtimestamp(now, UTC).replace(tzinfo=None)

    def wanted(self, days: Sequence[date], fields: Sequence[str], max_age: timedelta) -> Iterator[int]:
        """Ids of the days' leads that are unknown, were read before `max_age`, or without one of the fields."""
        last = -1
        while True:
            page = self._warehouse.rows(
                "select distinct a.lead_id from ACTIVITIES a left join ACTIVITY_LEADS l on l.lead_id = a.lead_id"
                " where a.activity_date >= %(first)s::date and a.activity_date < dateadd(day, 1, %(last_day)s::date)"
                " and a.lead_id > %(last)s"
                " and (l.lead_id is null or l.read_at < %(before)s::timestamp_ntz or l.field_names <> %(fields)s)"
                f" order by 1 limit {PAGE_ROWS}",
                first=min(days),
                last_day=max(days),
                last=last,
                before=self._now - max_age,
                fields=_names(fields),
            )
            yield from (row["lead_id"] for row in page)
            if len(page) < PAGE_ROWS:
                return
            last = page[-1]["lead_id"]

    def store(self, leads: pa.Table, fields: Sequence[str]) -> None:
        """Leads as read now, all or none."""
        with self._warehouse.staged(leads) as staged, self._warehouse.transaction():
            self._warehouse.execute(
                f"delete from ACTIVITY_LEADS using {staged} s where ACTIVITY_LEADS.lead_id = s.lead_id"
            )
            self._warehouse.execute(
                "insert into ACTIVITY_LEADS (lead_id, fields, field_names, is_missing, run_id, read_at)"
                " select lead_id, parse_json(fields), %(fields)s, is_missing, %(run)s, %(now)s::timestamp_ntz"
                f" from {staged}",
                fields=_names(fields),
                run=self._run_id,
                now=self._now,
            )


def look_up(
    client: MarketoClient,
    table: LeadTable,
    days: Sequence[date],
    fields: Sequence[str],
    max_age: timedelta,
    *,
    calls: int,
) -> LeadCounts:
    """Read and store the details of the days' leads; `fields` by REST name.

    Raises what the client raises; what was read until then is stored.
    """
    counts = LeadCounts()
    source = table.wanted(days, fields, max_age)
    while ids := list(islice(source, CALLS_AT_ONCE * MAX_FILTER_VALUES)):
        groups = [ids[start : start + MAX_FILTER_VALUES] for start in range(0, len(ids), MAX_FILTER_VALUES)]
        rows: list[dict[str, Any]] = []
        try:
            for read in in_flight(groups, lambda group: _read(client, group, fields), calls=calls):
                rows += read
        finally:
            if rows:
                table.store(pa.Table.from_pylist(rows, schema=_SCHEMA), fields)
                counts.missing += sum(row["is_missing"] for row in rows)
                counts.found += sum(not row["is_missing"] for row in rows)
    return counts


def _read(client: MarketoClient, ids: Sequence[int], fields: Sequence[str]) -> list[dict[str, Any]]:
    asked = ["id", *(name for name in fields if name != "id")]
    found = {int(lead["id"]): lead for lead in leads_by_filter(client, "id", [str(each) for each in ids], asked)}
    return [
        {
            "lead_id": lead_id,
            "fields": orjson.dumps({name: found.get(lead_id, {}).get(name) for name in fields}).decode(),
            "is_missing": lead_id not in found,
        }
        for lead_id in ids
    ]


def _names(fields: Sequence[str]) -> str:
    return ",".join(sorted(fields))
