"""SYNC_OBJECTS: which records Marketo has accepted and how the last try ended; the diff against the source table.

Rows are marked as under way before a call and recorded after Marketo's answer. So a run that is killed anywhere can be
run again: what was under way is sent again, also where the source has gone back to the values accepted before.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

import pyarrow as pa

from marketo_assets.marketo.clock import Clock, utc_now
from marketo_assets.pump.ledger import PAGE_ROWS
from marketo_assets.pump.source import fingerprint_parts, trimmed
from marketo_assets.sync.objects_definition import ObjectMapping, ObjectSync
from marketo_assets.warehouse.session import Row, Warehouse
from marketo_assets.warehouse.sql import identifier, statement

_PACKAGE: Final = "marketo_assets.sync"

LONGEST_PAUSE: Final = timedelta(days=1)
"""A record that waits is tried after as long as it has waited already, and at least this often."""

Outcome = Literal["created", "updated", "rejected", "waiting", "unsent", "deleted", "undeleted"]
"""waiting: what it links to is not in Marketo. unsent, undeleted: Marketo neither did it nor said that it never can."""

_STATES: Final[Mapping[Outcome, str]] = {"created": "acknowledged", "updated": "acknowledged", "rejected": "refused"}


class ObjectResult(NamedTuple):
    """What became of one row of the diff. `reason` never holds a value."""

    row_number: int
    outcome: Outcome
    code: str | None = None
    reason: str | None = None
    marketo_id: str | None = None


_RESULT_SCHEMA: Final = pa.schema(
    [
        ("row_number", pa.int64()),
        ("state", pa.string()),
        ("code", pa.string()),
        ("reason", pa.string()),
        ("marketo_id", pa.string()),
    ]
)


@dataclass(frozen=True)
class Diff:
    """What is to be done, as rows of a table that lasts as long as the diff; `row_number` counts within a `what`."""

    table: str
    counts: Mapping[str, int]
    """Rows by what is to be done: send, gone, unchanged, …; see objects_diff.sql."""
    codes: Mapping[tuple[str, str], int]
    """Rows that were refused or wait, by `what` and code."""
    source_rows: int
    there: int
    """Records that are, or may be, in Marketo."""

    @property
    def keys(self) -> int:
        """Rows of the source that have a key."""
        return self.source_rows - self.counts.get("blank_key", 0)


class ObjectLedger:
    """The records of one sync through one warehouse session."""

    def __init__(self, warehouse: Warehouse, sync: ObjectSync, run_id: str, clock: Clock) -> None:
        """`run_id` is written beside every record."""
        self._warehouse = warehouse
        self._sync = sync
        self._run_id = run_id
        self._clock = clock

    def create_tables(self) -> None:
        """Create what is missing; never changes a table that is there."""
        self._warehouse.create(statement(_PACKAGE, "objects_tables"))

    @contextmanager
    def diff(self, mapping: ObjectMapping, *, try_again: bool) -> Iterator[Diff]:
        """Compare the source with what Marketo has accepted. `try_again`: also what was refused or is to wait.

        A copy and not a query, because the source may change while its rows are read; a temporary one, so that a
        killed process leaves no copy of personal data behind.
        """
        table = identifier(f"SYNC_DIFF_{secrets.token_hex(4)}")
        self._warehouse.execute(
            statement(_PACKAGE, "objects_diff", snapshot=table, **_parts(self._sync, mapping)),
            object=self._sync.name,
            mapping=mapping.version,
            try_again=try_again,
            now=self._now(),
        )
        try:
            yield self._counted(table)
        finally:
            self._warehouse.execute(f"drop table if exists {table}")

    def _counted(self, table: str) -> Diff:
        rows = self._warehouse.rows(
            "select what, iff(what in ('refused', 'waiting', 'unsent', 'undeleted'), code, null) as told,"
            " count(*) as n, max(source_rows) as source_rows, count_if(is_there) as there"
            f" from {table} group by 1, 2 order by 1, 2"
        )
        counts: dict[str, int] = {}
        for row in rows:
            counts[row["what"]] = counts.get(row["what"], 0) + row["n"]
        return Diff(
            table,
            counts,
            {(row["what"], row["told"]): row["n"] for row in rows if row["told"]},
            max((row["source_rows"] or 0 for row in rows), default=0),
            sum(int(row["there"]) for row in rows),
        )

    def pages(self, diff: Diff, what: str, columns: Sequence[str]) -> Iterator[pa.Table]:
        """The rows of one `what`, in order: `row_number` and the columns."""
        for first in range(1, diff.counts.get(what, 0) + 1, PAGE_ROWS):
            yield self._warehouse.arrow(
                f"select row_number, {', '.join(columns)} from {diff.table}"
                " where what = %(what)s and row_number between %(first)s and %(last)s order by row_number",
                what=what,
                first=first,
                last=first + PAGE_ROWS - 1,
            )

    def begin(self, diff: Diff, mapping: ObjectMapping, what: str) -> None:
        """Mark the rows of one `what` as under way, before the first call."""
        names = {**self._names(what), "mapping": mapping.version}
        self._warehouse.execute(
            "update SYNC_OBJECTS o set state = 'under_way', sent_key = s.sent_key,"
            " tried_fingerprint = coalesce(s.fingerprint, o.tried_fingerprint), tried_mapping = %(mapping)s,"
            " tried_at = %(now)s::timestamp_ntz, run_id = %(run)s"
            f" from {diff.table} s where o.object_name = %(object)s and o.key = s.key and s.what = %(what)s",
            **names,
        )
        if what == "send":
            self._warehouse.execute(
                "insert into SYNC_OBJECTS"
                " (object_name, key, sent_key, state, tried_fingerprint, tried_mapping, tried_at, run_id)"
                " select %(object)s, s.key, s.sent_key, 'under_way', s.fingerprint, %(mapping)s,"
                f" %(now)s::timestamp_ntz, %(run)s from {diff.table} s"
                " left join SYNC_OBJECTS o on o.object_name = %(object)s and o.key = s.key"
                " where s.what = %(what)s and o.key is null",
                **names,
            )

    def record(self, diff: Diff, what: str, results: Sequence[ObjectResult]) -> None:
        """Store what became of rows of one `what`, all or none; a second time changes nothing."""
        rows = [{**each._asdict(), "state": _STATES.get(each.outcome, each.outcome)} for each in results]
        table = pa.Table.from_pylist(rows, schema=_RESULT_SCHEMA)
        with self._warehouse.staged(table) as staged:
            self._warehouse.execute(
                statement(_PACKAGE, "objects_record", results=staged, snapshot=diff.table),
                longest=int(LONGEST_PAUSE.total_seconds()),
                **self._names(what),
            )
        if any(each.outcome == "deleted" for each in results):
            self._warehouse.execute(
                "delete from SYNC_OBJECTS where object_name = %(object)s and state = 'deleted'", object=self._sync.name
            )

    def forget(self, diff: Diff) -> None:
        """Drop what is known of rows that are gone from the source and never were in Marketo."""
        self._warehouse.execute(
            f"delete from SYNC_OBJECTS using {diff.table} s where SYNC_OBJECTS.object_name = %(object)s"
            " and SYNC_OBJECTS.key = s.key and s.what = 'forget'",
            object=self._sync.name,
        )

    def waiting_since_before(self, diff: Diff, moment: datetime) -> int:
        """Records that wait and have done so since before `moment` (UTC, naive)."""
        rows = self._warehouse.rows(
            f"select count(distinct o.key) as n from SYNC_OBJECTS o join {diff.table} s on s.key = o.key"
            " where o.object_name = %(object)s and o.state in ('waiting', 'unsent', 'undeleted')"
            " and o.waiting_since < %(moment)s::timestamp_ntz and (s.what <> 'gone' or o.state = 'undeleted')",
            object=self._sync.name,
            moment=moment,
        )
        return int(rows[0]["n"])

    def sample(self, rows: int) -> list[Row]:
        """Some records that Marketo does not have as they are: code, reason and how to find them. No values."""
        return self._warehouse.rows(
            "select tried_fingerprint, state, code, reason from SYNC_OBJECTS"
            " where object_name = %(object)s and state in ('refused', 'waiting', 'unsent', 'undeleted')"
            " qualify row_number() over (order by tried_at desc, key) <= %(rows)s order by tried_at desc, key",
            object=self._sync.name,
            rows=rows,
        )

    def _names(self, what: str) -> dict[str, Any]:
        return {"object": self._sync.name, "what": what, "now": self._now(), "run": self._run_id}

    def _now(self) -> datetime:
        return utc_now(self._clock).replace(tzinfo=None)


def _parts(sync: ObjectSync, mapping: ObjectMapping) -> dict[str, str]:
    """The parts of the diff's statement that depend on the mapping; cells are C_0, C_1, … in its order."""
    keys = [trimmed(mapped.column) for mapped in mapping.key]
    numbers = range(len(mapping.fields))
    columns = [
        f"{trimmed(mapped.column) if mapped in mapping.key else identifier(mapped.column)} as C_{at}"
        for at, mapped in enumerate(mapping.fields)
    ]
    return {
        "table": identifier(sync.table),
        "key_parts": ", ".join(keys),
        "has_key": " and ".join(f"coalesce({key}, '') <> ''" for key in keys),
        "fingerprint_parts": fingerprint_parts(mapping.fields),
        "columns": ", ".join(columns),
        "cells": ", ".join(f"iff(what = 'send', C_{at}, null) as C_{at}" for at in numbers),
    }
