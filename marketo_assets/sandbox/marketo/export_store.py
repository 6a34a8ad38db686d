"""The stored jobs of bulk extract: what was asked for, and when each of a job's steps was, or will be, reached.

No rule of Marketo's belongs here; the files themselves lie beside the state (see export_queue.py).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import orjson

from marketo_assets.sandbox.marketo.state_file import StateFile

_SCHEMA = """
CREATE TABLE IF NOT EXISTS export_job (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, kind TEXT NOT NULL, request BLOB NOT NULL,
    created REAL NOT NULL, queued REAL, started REAL, ended REAL, outcome TEXT, records INTEGER, size INTEGER,
    checksum TEXT, fault TEXT, has_file INTEGER NOT NULL DEFAULT 0
);
"""
_JOBS = (
    "SELECT number, id, kind, request, created, queued, started, ended, outcome, records, size, checksum, fault, "
    "has_file FROM export_job"
)

Outcome = Literal["Completed", "Failed", "Cancelled"]


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What a job was asked to export."""

    fields: list[str]
    headers: list[str]
    """One per field, as the file's first line has them."""
    by: Literal["activity", "created", "changed", "list"]
    """What selects rows: the time of activities, the creation or last change of leads, or a static list of them."""
    start: int = 0
    """Rows from here on, epoch seconds."""
    end: int = 0
    """Rows before this."""
    types: list[int] | None = None
    """Activity types; None for all."""
    list_id: int = 0


@dataclass(slots=True)
class ExportJob:
    """One job. Times are epoch seconds, written down as soon as they are known: `ended` may still be to come."""

    id: str
    kind: str
    request: ExportRequest
    created: float
    queued: float | None = None
    started: float | None = None
    ended: float | None = None
    outcome: Outcome | None = None
    """How it ends, known together with `ended`."""
    records: int | None = None
    size: int | None = None
    checksum: str | None = None
    """SHA-256 of the file, hex."""
    fault: str | None = None
    """How the job misbehaves (see faults.py)."""
    has_file: bool = False
    number: int = 0


class ExportStore(StateFile):
    """The export jobs of one state file."""

    def __init__(self, path: Path | None) -> None:
        """See StateFile."""
        super().__init__(path)
        self._database.executescript(_SCHEMA)

    def add_export(self, job: ExportJob) -> None:
        """Keep a new job."""
        self._database.execute(
            "INSERT INTO export_job (id, kind, request, created) VALUES (?, ?, ?, ?)",
            (job.id, job.kind, orjson.dumps(job.request), job.created),
        )

    def save_export(self, job: ExportJob) -> None:
        """Keep what became of a job."""
        self._database.execute(
            "UPDATE export_job SET queued = ?, started = ?, ended = ?, outcome = ?, records = ?, size = ?, "
            "checksum = ?, fault = ?, has_file = ? WHERE id = ?",
            (
                job.queued,
                job.started,
                job.ended,
                job.outcome,
                job.records,
                job.size,
                job.checksum,
                job.fault,
                job.has_file,
                job.id,
            ),
        )

    def export(self, kind: str, export_id: str) -> ExportJob | None:
        """The job of that kind and id."""
        found = self._exports("WHERE kind = ? AND id = ?", kind, export_id)
        return found[0] if found else None

    def exports_since(self, kind: str, created: float) -> list[ExportJob]:
        """The jobs of a kind created then or later, oldest first."""
        return self._exports("WHERE kind = ? AND created >= ? ORDER BY number", kind, created)

    def waiting_exports(self) -> list[ExportJob]:
        """Queued and not started, in the order of the queue."""
        return self._exports("WHERE queued IS NOT NULL AND started IS NULL AND ended IS NULL ORDER BY queued, number")

    def open_exports(self) -> list[ExportJob]:
        """Started, and their end is not known yet."""
        return self._exports("WHERE started IS NOT NULL AND ended IS NULL ORDER BY started, number")

    def export_ends_after(self, at: float) -> list[float | None]:
        """When the started jobs that have not ended by `at` end, ascending; None, not known yet, last."""
        rows = self._database.execute(
            "SELECT ended FROM export_job WHERE started IS NOT NULL AND (ended IS NULL OR ended > ?) "
            "ORDER BY ended IS NULL, ended",
            (at,),
        )
        return [row[0] for row in rows]

    def busy_export_count(self, now: float) -> int:
        """How many jobs are queued or running."""
        row = self._database.execute(
            "SELECT count(*) FROM export_job WHERE queued IS NOT NULL AND (ended IS NULL OR ended > ?)", (now,)
        ).fetchone()
        return int(row[0])

    def exported_bytes(self, since: float, now: float) -> int:
        """Bytes of the jobs completed between two times."""
        row = self._database.execute(
            "SELECT coalesce(sum(size), 0) FROM export_job WHERE outcome = 'Completed' AND ended >= ? AND ended <= ?",
            (since, now),
        ).fetchone()
        return int(row[0])

    def drop_export_files(self, ended: float) -> list[str]:
        """Forget that jobs ended by then have files; their ids."""
        rows = self._database.execute(
            "UPDATE export_job SET has_file = 0 WHERE has_file AND ended <= ? RETURNING id", (ended,)
        )
        return [row[0] for row in rows.fetchall()]

    def drop_exports(self, ended: float) -> None:
        """Forget jobs that ended by then, or were created by then and have not ended."""
        self._database.execute("DELETE FROM export_job WHERE coalesce(ended, created) <= ?", (ended,))

    def lead_ids_between(self, by_change: bool, start: int, end: int, after: int, limit: int) -> list[int]:
        """Ids, beyond `after`, of leads created or last changed from `start` and before `end`."""
        rows = self._database.execute(
            "SELECT id FROM lead WHERE id > ? AND iif(?, changed, created) BETWEEN ? AND ? - 1 ORDER BY id LIMIT ?",
            (after, by_change, start, end, limit),
        )
        return [row[0] for row in rows]

    def _exports(self, where: str, *values: object) -> list[ExportJob]:
        return [
            ExportJob(
                number=row[0],
                id=row[1],
                kind=row[2],
                request=ExportRequest(**orjson.loads(row[3])),
                created=row[4],
                queued=row[5],
                started=row[6],
                ended=row[7],
                outcome=row[8],
                records=row[9],
                size=row[10],
                checksum=row[11],
                fault=row[12],
                has_file=bool(row[13]),
            )
            for row in self._database.execute(f"{_JOBS} {where}", values)
        ]
