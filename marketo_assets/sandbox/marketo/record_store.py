"""The stored companies and custom objects, and which lead is linked to which company.

No rule of Marketo's belongs here. Values are compared as texts, ASCII letters in any case.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from marketo_assets.sandbox.marketo.state_file import StateFile

_SCHEMA = """
CREATE TABLE IF NOT EXISTS record (
    number INTEGER PRIMARY KEY, object TEXT NOT NULL, guid TEXT UNIQUE NOT NULL, dedupe TEXT NOT NULL,
    created INTEGER NOT NULL, updated INTEGER NOT NULL, doc TEXT NOT NULL, UNIQUE (object, dedupe)
);
CREATE TABLE IF NOT EXISTS company_lead (lead_id INTEGER PRIMARY KEY, company INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS company_lead_company ON company_lead (company);
"""
_COLUMNS = "number, guid, dedupe, created, updated, doc"
_PAGE = 1_000

BY_KEY, BY_GUID, BY_NUMBER = "dedupe", "guid", "number"
"""What records can be found by, beside a field (by_field)."""


@dataclass(slots=True)
class StoredRecord:
    """One company or custom object; times in epoch seconds.

    `key`: its dedupe fields as one text. `values` by field name, without those that are empty.
    """

    number: int
    guid: str
    key: str
    created: int
    updated: int
    values: dict[str, Any]


class RecordStore(StateFile):
    """The records of one state file."""

    def __init__(self, path: Path | None) -> None:
        """See StateFile."""
        super().__init__(path)
        self._database.executescript(_SCHEMA)
        self._next_record = int(self.meta("next_record") or 1)

    def new_record_numbers(self, count: int) -> Iterator[int]:
        """Numbers never given before, to records of any type."""
        first = self._next_record
        if count:
            self._next_record += count
            self.set_meta("next_record", str(self._next_record))
        return iter(range(first, self._next_record))

    def find_records(
        self, object_name: str, by: str, keys: Iterable[Any], after: int = 0, limit: int = -1
    ) -> list[StoredRecord]:
        """The records that have one of these keys, beyond a number, ascending by number.

        `by`: BY_KEY, BY_GUID, BY_NUMBER or by_field(…). The first question about a field builds an index for it.
        """
        wanted = set(keys)
        if not wanted:
            return []
        if by not in {BY_KEY, BY_GUID, BY_NUMBER}:
            self._database.execute(f"CREATE INDEX IF NOT EXISTS {_index_name(by)} ON record (object, {by})")
        rows = self._database.execute(
            f"SELECT {_COLUMNS} FROM json_each(?) AS wanted CROSS JOIN record "
            f"ON object = ? AND {by} = wanted.value WHERE number > ? ORDER BY number LIMIT ?",
            (_json(wanted), object_name, after, limit),
        )
        return [_record(row) for row in rows]

    def records(self, object_name: str) -> Iterator[list[StoredRecord]]:
        """All records of a type in pages, ascending by number; each may be changed before the next is asked for."""
        after = 0
        while True:
            rows = self._database.execute(
                f"SELECT {_COLUMNS} FROM record WHERE object = ? AND number > ? ORDER BY number LIMIT {_PAGE}",
                (object_name, after),
            ).fetchall()
            if not rows:
                return
            yield [_record(row) for row in rows]
            after = rows[-1][0]

    def insert_records(self, object_name: str, records: Iterable[StoredRecord]) -> None:
        """Store new records."""
        self._database.executemany(
            f"INSERT INTO record (object, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                (object_name, each.number, each.guid, each.key, each.created, each.updated, _text(each.values))
                for each in records
            ),
        )

    def update_records(self, records: Iterable[StoredRecord]) -> None:
        """Store changed records."""
        self._database.executemany(
            "UPDATE record SET dedupe = ?, updated = ?, doc = ? WHERE number = ?",
            ((each.key, each.updated, _text(each.values), each.number) for each in records),
        )

    def delete_records(self, numbers: Iterable[int]) -> None:
        """Forget records."""
        self._database.executemany("DELETE FROM record WHERE number = ?", ((number,) for number in numbers))

    def drop_records(self, object_name: str) -> None:
        """Forget all records of a type."""
        self._database.execute("DELETE FROM record WHERE object = ?", (object_name,))

    # which lead is linked to which company

    def link_leads(self, links: Mapping[int, int]) -> None:
        """Link leads to companies (numbers), one each."""
        self._database.executemany("REPLACE INTO company_lead VALUES (?, ?)", links.items())

    def unlink_leads(self, lead_ids: Iterable[int]) -> None:
        """Leave these leads without a company."""
        self._database.executemany("DELETE FROM company_lead WHERE lead_id = ?", ((each,) for each in lead_ids))

    def unlink_companies(self, companies: Iterable[int]) -> None:
        """Leave the leads of these companies without one."""
        self._database.executemany("DELETE FROM company_lead WHERE company = ?", ((each,) for each in companies))

    def companies_of(self, lead_ids: Iterable[int]) -> dict[int, int]:
        """The companies of those leads that are linked to one."""
        return self._links("lead_id", lead_ids)

    def leads_of(self, companies: Iterable[int]) -> dict[int, int]:
        """The leads that are linked to these companies, each with its company."""
        return self._links("company", companies)

    def _links(self, column: str, keys: Iterable[int]) -> dict[int, int]:
        query = f"SELECT lead_id, company FROM company_lead WHERE {column} IN (SELECT value FROM json_each(?))"
        return dict(self._database.execute(query, (_json(keys),)).fetchall())


def by_field(name: str) -> str:
    """For find_records: the value of a field, whose name is letters, digits and _ alone."""
    return f"lower(json_extract(doc, '$.{name}'))"


def _index_name(by: str) -> str:
    return "record_" + "".join(character if character.isalnum() else "_" for character in by)


def _record(row: tuple[int, str, str, int, int, str]) -> StoredRecord:
    return StoredRecord(*row[:-1], values=orjson.loads(row[-1]))


def _text(values: Mapping[str, Any]) -> str:
    return orjson.dumps(values).decode()


def _json(values: Iterable[Any]) -> str:
    return orjson.dumps(list(values)).decode()
