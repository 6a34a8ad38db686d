"""The stored memberships of leads in static lists and programs.

No rule of Marketo's belongs here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from marketo_assets.sandbox.marketo.state_file import StateFile

_SCHEMA = """
CREATE TABLE IF NOT EXISTS list_member (
    list_id INTEGER NOT NULL, lead_id INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (list_id, lead_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS list_member_lead ON list_member (lead_id);
CREATE TABLE IF NOT EXISTS program_member (
    id INTEGER PRIMARY KEY AUTOINCREMENT, program_id INTEGER NOT NULL, lead_id INTEGER NOT NULL, status TEXT NOT NULL,
    is_success INTEGER NOT NULL, since INTEGER NOT NULL, updated INTEGER NOT NULL, UNIQUE (program_id, lead_id)
);
CREATE INDEX IF NOT EXISTS program_member_lead ON program_member (lead_id);
"""
_TABLES = ("list_member", "program_member")


@dataclass(frozen=True, slots=True)
class ProgramMember:
    """One lead in one program; times in epoch seconds."""

    id: int
    lead_id: int
    status: str
    is_success: bool
    since: int
    updated: int


class MembershipStore(StateFile):
    """The memberships of one state file."""

    def __init__(self, path: Path | None) -> None:
        """See StateFile."""
        super().__init__(path)
        self._database.executescript(_SCHEMA)

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
            (list_id, orjson.dumps(list(lead_ids)).decode()),
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

    def program_members(self, program_id: int, after: int, limit: int) -> list[ProgramMember]:
        """Members of a program, ascending by lead id, beyond `after`."""
        rows = self._database.execute(
            "SELECT id, lead_id, status, is_success, since, updated FROM program_member "
            "WHERE program_id = ? AND lead_id > ? ORDER BY lead_id LIMIT ?",
            (program_id, after, limit),
        )
        return [ProgramMember(row[0], row[1], row[2], bool(row[3]), row[4], row[5]) for row in rows]

    def put_program_member(self, program_id: int, lead_id: int, status: str, at: int, *, is_success: bool) -> None:
        """Make a lead a member of a program, or give one another status."""
        self._database.execute(
            "INSERT INTO program_member (program_id, lead_id, status, is_success, since, updated) "
            "VALUES (?, ?, ?, ?, ?5, ?5) ON CONFLICT DO UPDATE "
            "SET status = excluded.status, is_success = excluded.is_success, updated = excluded.updated",
            (program_id, lead_id, status, is_success, at),
        )

    def forget_members(self, lead_ids: Sequence[int]) -> None:
        """End all memberships of leads."""
        for table in _TABLES:
            query = f"DELETE FROM {table} WHERE lead_id = ?"
            self._database.executemany(query, ((lead_id,) for lead_id in lead_ids))

    def hand_over_memberships(self, loser_id: int, winner_id: int) -> None:
        """Give the memberships of one lead to another, which keeps those it has."""
        for table in _TABLES:
            query = f"UPDATE OR IGNORE {table} SET lead_id = ? WHERE lead_id = ?"
            self._database.execute(query, (winner_id, loser_id))
