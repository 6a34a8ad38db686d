"""The SQLite file an emulator keeps its state in: opening, transactions, remembered texts.

What is kept belongs to activity_store.py and store.py. Not thread-safe: the emulator calls it under its lock.
Survives a kill of the process: every write is committed to the write-ahead log before it is answered.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SCHEMA = "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = OFF",
    "PRAGMA cache_size = -65536",
    "PRAGMA wal_autocheckpoint = 16384",
    "PRAGMA temp_store = FILE",
)


class StateFile:
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
