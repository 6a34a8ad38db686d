"""The stored activities: events in the order in which they were committed, which is the order of their ids.

An activity has two times: when it happened (`at`) and when it was committed, which is later for a late arrival.
No rule of Marketo's belongs here; what an event stands for is in activities.py.
"""

import sqlite3
from collections.abc import Container, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson

from marketo_assets.sandbox.marketo.state_file import StateFile

# `late` comes last: state files of earlier versions get it added there.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS activity (
    id INTEGER PRIMARY KEY, size INTEGER NOT NULL, lead_id INTEGER NOT NULL, at INTEGER NOT NULL, type INTEGER NOT NULL,
    detail BLOB NOT NULL, late INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS activity_at ON activity (at);
CREATE INDEX IF NOT EXISTS activity_deleted_lead ON activity (type) WHERE type = 37;
CREATE TABLE IF NOT EXISTS merged (loser_id INTEGER PRIMARY KEY, winner_id INTEGER NOT NULL);
"""
_EVENTS = (
    "SELECT activity.id, size, coalesce(winner_id, lead_id), at, type, detail, at + late "
    "FROM activity LEFT JOIN merged ON loser_id = lead_id"
)
_PAGE = 5_000
"""Events read at once: between pages no cursor is open, so that the file may be written to."""

PastActivity = tuple[int, int, int, int, bytes]
"""When committed, when it happened (epoch seconds), lead id, type, detail as JSON."""


class StoredActivity(NamedTuple):
    """One event of one lead. It stands for `size` activities, with ids from `id` on; times in epoch seconds."""

    id: int
    size: int
    lead_id: int
    at: int
    type: int
    detail: Any
    committed: int


class ActivityStore(StateFile):
    """The activities of one state file. Events of merged leads are their winner's."""

    def __init__(self, path: Path | None) -> None:
        """See StateFile."""
        super().__init__(path)
        self._database.executescript(_SCHEMA)
        columns = {row[1] for row in self._database.execute("PRAGMA table_info(activity)")}
        if "late" not in columns:
            self._database.execute("ALTER TABLE activity ADD COLUMN late INTEGER NOT NULL DEFAULT 0")
        last = self._database.execute("SELECT id + size, at + late FROM activity ORDER BY id DESC LIMIT 1").fetchone()
        self.next_activity_id: int = max(last[0] if last else 1, int(self.meta("next_activity_id") or 1))
        """The end of the stream. What was purged keeps its ids."""
        self._last_commit: int = last[1] if last else 0

    def add_activities(self, at: int, events: Iterable[tuple[int, int, int, Any]]) -> None:
        """Append events of (lead id, type, number of activities, detail) that happen now."""
        self._append(
            (at, at, lead_id, type_id, size, orjson.dumps(detail)) for lead_id, type_id, size, detail in events
        )

    def add_past_activities(self, activities: Iterable[PastActivity]) -> None:
        """Append single activities, in the order given: none counts as committed before the one before it."""
        self._append((committed, at, lead, type_id, 1, detail) for committed, at, lead, type_id, detail in activities)

    def activities_between(self, start: int, end: int, types: Container[int] | None) -> Iterator[StoredActivity]:
        """Events with start <= at < end, of these types or (None) all, by time and then id. Read in pages."""
        after = (start - 1, self.next_activity_id)
        while True:
            rows = self._database.execute(
                f"{_EVENTS} WHERE (at, activity.id) > (?, ?) AND at < ? ORDER BY at, activity.id LIMIT {_PAGE}",
                (*after, end),
            ).fetchall()
            for row in rows:
                if types is None or row[4] in types:
                    yield _event(row)
            if len(rows) < _PAGE:
                return
            after = (rows[-1][3], rows[-1][0])

    def activities_from(self, position: int, limit: int = _PAGE) -> list[StoredActivity]:
        """Events in the order of their commit, from the one that holds the activity with id `position` or comes next.

        The first may stand for activities before the position as well.
        """
        holder = self._database.execute("SELECT max(id) FROM activity WHERE id <= ?", (position,)).fetchone()[0] or 0
        rows = self._database.execute(
            f"{_EVENTS} WHERE activity.id >= ? ORDER BY activity.id LIMIT ?", (holder, limit + 1)
        )
        events = [_event(row) for row in rows]
        return [event for event in events if event.id + event.size > position][:limit]

    def deleted_leads_from(self, position: int, limit: int) -> list[StoredActivity]:
        """The same of type 37 alone."""
        rows = self._database.execute(
            f"{_EVENTS} WHERE type = 37 AND activity.id >= ? ORDER BY activity.id LIMIT ?", (position, limit)
        )
        return [_event(row) for row in rows]

    def position_of(self, since: int) -> int:
        """The id of the first activity committed at or after `since` (epoch seconds), or the end of the stream."""
        low, high = 1, self.next_activity_id
        while low < high:
            middle = (low + high) // 2
            row = self._database.execute(
                "SELECT id, at + late FROM activity WHERE id >= ? ORDER BY id LIMIT 1", (middle,)
            ).fetchone()
            if row is None or row[1] >= since:
                high = middle
            else:
                low = row[0] + 1
        return low

    def purge_activities(self, types: Iterable[int], before: int) -> None:
        """Forget the activities of these types that happened before a time."""
        self.set_meta("next_activity_id", str(self.next_activity_id))
        self._database.execute(
            "DELETE FROM activity WHERE at < ? AND type IN (SELECT value FROM json_each(?))",
            (before, orjson.dumps(list(types)).decode()),
        )

    def _append(self, rows: Iterable[tuple[int, int, int, int, int, bytes]]) -> None:
        """Rows of (committed, at, lead id, type, size, detail)."""
        self._database.executemany("INSERT INTO activity VALUES (?, ?, ?, ?, ?, ?, ?)", self._numbered(rows))

    def _numbered(
        self, rows: Iterable[tuple[int, int, int, int, int, bytes]]
    ) -> Iterator[tuple[int, int, int, int, int, bytes, int]]:
        activity_id, last_commit = self.next_activity_id, self._last_commit
        for committed, at, lead_id, type_id, size, detail in rows:
            last_commit = max(last_commit, committed)
            yield activity_id, size, lead_id, at, type_id, detail, last_commit - at
            activity_id += size
        self.next_activity_id, self._last_commit = activity_id, last_commit


def count_committed(state: Path, types: Iterable[int], since: int, before: int) -> int:
    """Activities of these types that happened since a time (epoch s), with ids below `before`: by the file alone.

    For a look from another process while an emulator has the file in use.
    """
    with closing(sqlite3.connect(f"file:{quote(str(state))}?mode=ro", uri=True)) as database:
        found = database.execute(
            "SELECT coalesce(sum(min(size, ?1 - id)), 0) FROM activity"
            " WHERE id < ?1 AND at >= ?2 AND type IN (SELECT value FROM json_each(?3))",
            (before, since, orjson.dumps(list(types)).decode()),
        ).fetchone()
    return int(found[0])


def _event(row: tuple[int, int, int, int, int, bytes, int]) -> StoredActivity:
    return StoredActivity(row[0], row[1], row[2], row[3], row[4], orjson.loads(row[5]), row[6])
