"""The emulator's state in one SQLite file: leads, activities, static lists, tokens and counters.

No rule of Marketo's belongs here. Not thread-safe: the emulator calls it under its lock.
Survives a kill of the process: every write is committed to the write-ahead log before it is answered.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

_SCHEMA = """
CREATE TABLE IF NOT EXISTS lead (
    id INTEGER PRIMARY KEY, email TEXT, created INTEGER NOT NULL, updated INTEGER NOT NULL, changed INTEGER NOT NULL,
    doc BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS lead_email ON lead (email);
CREATE TABLE IF NOT EXISTS activity (
    id INTEGER PRIMARY KEY, size INTEGER NOT NULL, lead_id INTEGER NOT NULL, at INTEGER NOT NULL, type INTEGER NOT NULL,
    detail BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS list_member (
    list_id INTEGER NOT NULL, lead_id INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (list_id, lead_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS list_member_lead ON list_member (lead_id);
CREATE TABLE IF NOT EXISTS merged (loser_id INTEGER PRIMARY KEY, winner_id INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS token (token TEXT PRIMARY KEY, client_id TEXT NOT NULL, expires REAL NOT NULL);
CREATE TABLE IF NOT EXISTS tally (
    day TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (day, kind, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = OFF",
    "PRAGMA cache_size = -65536",
    "PRAGMA wal_autocheckpoint = 16384",
    "PRAGMA temp_store = FILE",
)


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


@dataclass(frozen=True, slots=True)
class StoredActivity:
    """One write event of one lead. It stands for `size` activities, with ids from `id` on."""

    id: int
    size: int
    lead_id: int
    at: int
    type: int
    detail: Any


class Store:
    """One open state file."""

    def __init__(self, path: Path | None) -> None:
        """None: a private temporary file, on disk once it outgrows the cache."""
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(
            "" if path is None else path, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        for pragma in _PRAGMAS:
            self._database.execute(pragma)
        self._database.executescript(_SCHEMA)
        self.blank: tuple[Any, ...] = ()
        """The values of a lead that has none: stored leads end at their last value and are filled up from it."""
        self.next_lead_id = int(self.meta("next_lead_id") or 1)
        last = self._database.execute("SELECT id + size FROM activity ORDER BY id DESC LIMIT 1").fetchone()
        self.next_activity_id: int = last[0] if last else 1

    def close(self) -> None:
        """Close the file; a private one is gone then."""
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes of one call, or none."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def meta(self, name: str) -> str | None:
        """A remembered text."""
        row = self._database.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def set_meta(self, name: str, value: str) -> None:
        """Remember a text."""
        self._database.execute("REPLACE INTO meta VALUES (?, ?)", (name, value))

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
        query = f"SELECT key.value, lead.id FROM json_each(?) AS key CROSS JOIN lead ON {value} = key.value"  # noqa: S608 - an integer of ours
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
        """Forget leads and their list memberships."""
        keys = [(lead_id,) for lead_id in lead_ids]
        self._database.executemany("DELETE FROM list_member WHERE lead_id = ?", keys)
        self._database.executemany("DELETE FROM lead WHERE id = ?", keys)

    def _lead(self, row: tuple[int, int, int, int, bytes]) -> StoredLead:
        lead_id, created, updated, changed, document = row
        values = orjson.loads(document)
        values += self.blank[len(values) :]
        return StoredLead(lead_id, created, updated, changed, values)

    # activities

    def add_activities(self, at: int, events: Iterable[tuple[int, int, int, Any]]) -> None:
        """Append events of (lead id, type, number of activities, detail)."""
        rows = []
        for lead_id, type_id, size, detail in events:
            rows.append((self.next_activity_id, size, lead_id, at, type_id, orjson.dumps(detail)))
            self.next_activity_id += size
        self._database.executemany("INSERT INTO activity VALUES (?, ?, ?, ?, ?, ?)", rows)

    def activities(self) -> Iterator[StoredActivity]:
        """Every event, in the order it happened; those of merged leads are their winner's."""
        for row in self._database.execute(
            "SELECT id, size, coalesce(winner_id, lead_id), at, type, detail "
            "FROM activity LEFT JOIN merged ON loser_id = lead_id ORDER BY id"
        ):
            event_id, size, lead_id, at, type_id, detail = row
            yield StoredActivity(event_id, size, lead_id, at, type_id, orjson.loads(detail))

    # static lists

    def members(self, list_id: int, after: int, limit: int) -> list[int]:
        """Lead ids of a list, ascending, beyond `after`."""
        rows = self._database.execute(
            "SELECT lead_id FROM list_member WHERE list_id = ? AND lead_id > ? ORDER BY lead_id LIMIT ?",
            (list_id, after, limit),
        )
        return [row[0] for row in rows]

    def members_among(self, list_id: int, lead_ids: Iterable[int]) -> set[int]:
        """Those of the ids that are on the list."""
        rows = self._database.execute(
            "SELECT lead_id FROM list_member WHERE list_id = ? AND lead_id IN (SELECT value FROM json_each(?))",
            (list_id, _json(lead_ids)),
        )
        return {row[0] for row in rows}

    def add_members(self, list_id: int, lead_ids: Iterable[int], at: int) -> None:
        """Put leads on a list; again is no error."""
        self._database.executemany(
            "INSERT OR IGNORE INTO list_member VALUES (?, ?, ?)", ((list_id, lead_id, at) for lead_id in lead_ids)
        )

    def remove_members(self, list_id: int, lead_ids: Iterable[int]) -> None:
        """Take leads off a list."""
        self._database.executemany(
            "DELETE FROM list_member WHERE list_id = ? AND lead_id = ?", ((list_id, lead_id) for lead_id in lead_ids)
        )

    def hand_over(self, loser_id: int, winner_id: int) -> None:
        """Give the list memberships and activities of one lead to another."""
        self._database.execute("UPDATE OR IGNORE list_member SET lead_id = ? WHERE lead_id = ?", (winner_id, loser_id))
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
