"""The emulator's state in one SQLite file: leads, tokens and counters, beside what has a module of its own.

No rule of Marketo's belongs here. Activities are kept by activity_store.py, memberships by membership_store.py,
companies and custom objects by record_store.py, export jobs by export_store.py, the file itself by state_file.py.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from marketo_assets.sandbox.marketo.activity_store import ActivityStore
from marketo_assets.sandbox.marketo.export_store import ExportStore
from marketo_assets.sandbox.marketo.membership_store import MembershipStore
from marketo_assets.sandbox.marketo.record_store import RecordStore

_SCHEMA = """
CREATE TABLE IF NOT EXISTS lead (
    id INTEGER PRIMARY KEY, email TEXT, created INTEGER NOT NULL, updated INTEGER NOT NULL, changed INTEGER NOT NULL,
    doc BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS lead_email ON lead (email);
CREATE TABLE IF NOT EXISTS token (token TEXT PRIMARY KEY, client_id TEXT NOT NULL, expires REAL NOT NULL);
CREATE TABLE IF NOT EXISTS tally (
    day TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (day, kind, name)
) WITHOUT ROWID;
"""


@dataclass(slots=True)
class StoredLead:
    """One lead. `values` by field position; times in epoch seconds.

    `updated` is the visible updatedAt (standard fields), `changed` the last change of any field.
    """

    id: int
    created: int
    updated: int
    changed: int
    values: list[Any]


class Store(ActivityStore, ExportStore, MembershipStore, RecordStore):
    """One open state file."""

    def __init__(self, path: Path | None) -> None:
        """None: a private temporary file, on disk once it outgrows the cache."""
        super().__init__(path)
        self._database.executescript(_SCHEMA)
        self.blank: tuple[Any, ...] = ()
        """The values of a lead that has none: stored leads end at their last value and are filled up from it."""
        self.next_lead_id = int(self.meta("next_lead_id") or 1)

    # leads

    def ids_by_email(self, emails: Iterable[str]) -> dict[str, list[int]]:
        """Lead ids, ascending, by lower-case e-mail."""
        found: dict[str, list[int]] = {}
        for email, lead_id in self._database.execute(
            "SELECT email, id FROM lead WHERE email IN (SELECT value FROM json_each(?)) ORDER BY id",
            (_json(emails),),
        ):
            found.setdefault(email, []).append(lead_id)
        return found

    def ids_by_position(self, position: int, keys: Iterable[Any], *, text: bool) -> dict[Any, list[int]]:
        """Lead ids, ascending, by the value at a position; texts (in lower case) match in any case.

        The first question about a position builds an index for it.
        """
        value = f"json_extract(CAST(doc AS TEXT), '$[{position:d}]')"
        value = f"lower({value})" if text else value
        name = f"lead_position_{position:d}"
        self._database.execute(f"CREATE INDEX IF NOT EXISTS {name} ON lead ({value})")
        found: dict[Any, list[int]] = {}
        query = f"SELECT key.value, lead.id FROM json_each(?) AS key CROSS JOIN lead ON {value} = key.value"
        rows = self._database.execute(f"{query} ORDER BY lead.id", (_json(keys),))
        for key, lead_id in rows:
            found.setdefault(key, []).append(lead_id)
        return found

    def existing_ids(self, lead_ids: Iterable[int]) -> set[int]:
        """Those of the ids that are leads."""
        rows = self._database.execute(
            "SELECT id FROM lead WHERE id IN (SELECT value FROM json_each(?))", (_json(lead_ids),)
        )
        return {row[0] for row in rows}

    def leads(self, lead_ids: Iterable[int]) -> dict[int, StoredLead]:
        """The leads with these ids, ascending."""
        rows = self._database.execute(
            "SELECT id, created, updated, changed, doc FROM lead "
            "WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id",
            (_json(lead_ids),),
        )
        return {row[0]: self._lead(row) for row in rows}

    def all_leads(self) -> Iterator[StoredLead]:
        """Every lead, ascending by id."""
        for row in self._database.execute("SELECT id, created, updated, changed, doc FROM lead ORDER BY id"):
            yield self._lead(row)

    def lead_ids(self) -> list[int]:
        """The id of every lead, ascending."""
        return [row[0] for row in self._database.execute("SELECT id FROM lead ORDER BY id")]

    def lead_id_from(self, lead_id: int) -> int | None:
        """The first lead with this id or a higher one, or else the first of all; None where no lead is."""
        row = self._database.execute(
            "SELECT coalesce((SELECT min(id) FROM lead WHERE id >= ?), (SELECT min(id) FROM lead))", (lead_id,)
        ).fetchone()
        return None if row[0] is None else int(row[0])

    def lead_count(self) -> int:
        """How many leads there are."""
        return int(self._database.execute("SELECT count(*) FROM lead").fetchone()[0])

    def new_lead_ids(self, count: int) -> range:
        """Ids never given before."""
        ids = range(self.next_lead_id, self.next_lead_id + count)
        self.next_lead_id = ids.stop
        self.set_meta("next_lead_id", str(ids.stop))
        return ids

    def insert_leads(self, leads: Iterable[StoredLead], email_position: int) -> None:
        """Store new leads."""
        self._database.executemany(
            "INSERT INTO lead (email, id, created, updated, changed, doc) VALUES (?, ?, ?, ?, ?, ?)",
            (
                (
                    _email_key(lead.values[email_position]),
                    lead.id,
                    lead.created,
                    lead.updated,
                    lead.changed,
                    _document(lead.values),
                )
                for lead in leads
            ),
        )

    def update_leads(self, leads: Iterable[StoredLead]) -> None:
        """Store changed leads whose e-mail key stayed the same."""
        self._database.executemany(
            "UPDATE lead SET updated = ?, changed = ?, doc = ? WHERE id = ?",
            ((lead.updated, lead.changed, _document(lead.values), lead.id) for lead in leads),
        )

    def set_email_keys(self, leads: Iterable[StoredLead], email_position: int) -> None:
        """Follow changed e-mails: apart from update_leads, which leaves the index alone."""
        self._database.executemany(
            "UPDATE lead SET email = ? WHERE id = ?",
            ((_email_key(lead.values[email_position]), lead.id) for lead in leads),
        )

    def delete_leads(self, lead_ids: Sequence[int]) -> None:
        """Forget leads, their memberships and which company they are linked to."""
        self.forget_members(lead_ids)
        self.unlink_leads(lead_ids)
        keys = [(lead_id,) for lead_id in lead_ids]
        self._database.executemany("DELETE FROM lead WHERE id = ?", keys)

    def _lead(self, row: tuple[int, int, int, int, bytes]) -> StoredLead:
        lead_id, created, updated, changed, document = row
        values = orjson.loads(document)
        values += self.blank[len(values) :]
        return StoredLead(lead_id, created, updated, changed, values)

    def hand_over(self, loser_id: int, winner_id: int) -> None:
        """Give the memberships and activities of one lead to another."""
        self.hand_over_memberships(loser_id, winner_id)
        self._database.execute("UPDATE merged SET winner_id = ? WHERE winner_id = ?", (winner_id, loser_id))
        self._database.execute("INSERT INTO merged VALUES (?, ?)", (loser_id, winner_id))

    # tokens and counters

    def save_token(self, token: str, client_id: str, expires: float) -> None:
        """Remember a token; saving it again changes its expiry."""
        self._database.execute("REPLACE INTO token VALUES (?, ?, ?)", (token, client_id, expires))

    def token_expiry(self, token: str) -> float | None:
        """When a token expires, epoch seconds; None for one never given out."""
        row = self._database.execute("SELECT expires FROM token WHERE token = ?", (token,)).fetchone()
        return row[0] if row else None

    def newest_token(self, client_id: str) -> tuple[str, float] | None:
        """The client's token that lasts longest, and its expiry."""
        row: tuple[str, float] | None = self._database.execute(
            "SELECT token, expires FROM token WHERE client_id = ? ORDER BY expires DESC LIMIT 1", (client_id,)
        ).fetchone()
        return row

    def add_to_tally(self, day: str, kind: str, name: str, amount: int) -> None:
        """Count something of a day."""
        self._database.execute(
            "INSERT INTO tally VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
            (day, kind, name, amount),
        )

    def tally(self, day: str, kind: str) -> dict[str, int]:
        """What was counted on a day, by name."""
        rows = self._database.execute("SELECT name, count FROM tally WHERE day = ? AND kind = ?", (day, kind))
        return dict(rows.fetchall())


def _document(values: list[Any]) -> bytes:
    """A JSON array without the nulls at its end: none of the stripped characters ends any other value."""
    return orjson.dumps(values).rstrip(b"nul,]") + b"]"


def _json(values: Iterable[Any]) -> str:
    return orjson.dumps(list(values)).decode()


def _email_key(email: str | None) -> str | None:
    return None if email is None else email.lower()
