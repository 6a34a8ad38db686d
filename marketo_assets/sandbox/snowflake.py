"""The local Snowflake: the fakesnow server with its databases as files in a folder, one for all logins and processes.

Does not belong here: our own tables (warehouse/) and what is loaded into them (contacts.py).
"""

import socket
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import fakesnow.arrow
import fakesnow.copy_into
import pyarrow as pa
import uvicorn
from duckdb import DuckDBPyConnection
from fakesnow.arrow import timestamp_to_sf_struct as _without_nulls
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.server import app, sessions, shared_fs

from marketo_assets.marketo.clock import SystemClock
from marketo_assets.sandbox.abandoned import RollBackAbandoned

RESULTS_KEPT = 8
GRACE_SECONDS = 3


class RecentResults(OrderedDict[str, tuple[Any, ...]]):
    """The newest results by query id. fakesnow keeps each result for ever: too much for a table read in pages."""

    def __setitem__(self, query_id: str, result: tuple[Any, ...]) -> None:
        super().__setitem__(query_id, result)
        while len(self) > RESULTS_KEPT:
            self.popitem(last=False)


def serve(
    listener: socket.socket, ready: Callable[[], None], *, directory: str, databases: Mapping[str, Sequence[str]]
) -> None:
    """Answer on `listener` until the process is told to stop; `ready` is called when that begins.

    `directory` is made if missing. Every database found there is attached, since fakesnow attaches one only when
    somebody logs in to it by name. `databases` are made with their schemas: {"PROD": ["PUMPS_SENSITIVE"]}.
    """
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    shared_fs.db_path = folder
    shared_fs.results_cache = RecentResults()
    fakesnow.arrow.timestamp_to_sf_struct = timestamps_with_nulls
    describe_by_results(FakeSnowflakeCursor)
    copy_into_temporary_tables(fakesnow.copy_into)
    for file in sorted(folder.glob("*.db")):
        shared_fs.connect(file.stem).close()
    for database, schemas in databases.items():
        for schema in schemas:
            shared_fs.connect(database, schema).close()
    # Logging is left as it is: fakesnow reports what it could not translate through it, and the parent keeps the file.
    served = RollBackAbandoned(app, sessions, SystemClock())
    config = uvicorn.Config(served, log_config=None, access_log=False, timeout_graceful_shutdown=GRACE_SECONDS)
    ready()  # the socket listens: what comes in before the server's loop runs is answered by it
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        sessions.clear()
        shared_fs.duck_conn.close()


def timestamps_with_nulls(ts: pa.ChunkedArray) -> pa.StructArray:
    """Timestamps as Snowflake sends them. fakesnow's own conversion loses the nulls: clients read 1970-01-01."""
    struct = _without_nulls(ts)
    return pa.StructArray.from_arrays(struct.flatten(), fields=list(struct.type), mask=ts.is_null().combine_chunks())


def copy_into_temporary_tables(module: Any) -> None:
    """Have COPY INTO find the columns of a temporary table, as it does in Snowflake.

    fakesnow puts the current database and schema before the table's name; in DuckDB a temporary one is in neither. The
    tests of `Warehouse.staged` fail without this.
    """

    def describe_table(table: Any, duck_conn: DuckDBPyConnection, *_: str | None) -> list[tuple[str, str]]:
        described = duck_conn.execute(f"describe {table.sql(dialect='duckdb')}").fetchall()
        return [(name, kind) for name, kind, *_ in described]

    module._describe_table = describe_table  # noqa: SLF001 - what calls it goes straight to DuckDB, past the cursor


def describe_by_results(cursor_class: Any) -> None:
    """Have the cursors of `cursor_class` describe a result as DuckDB did when it was made.

    fakesnow translates and plans each statement once more for it: more than half of its time. It offers no other place
    to step in than these private methods, hence the noqas; a test compares both answers.
    """
    execute, describe = cursor_class._execute, cursor_class._describe_last_sql  # noqa: SLF001

    def execute_and_keep(cursor: Any, *arguments: Any) -> None:
        execute(cursor, *arguments)
        columns = cursor._duck_conn.description  # noqa: SLF001
        cursor.described = [(name, str(kind), "YES", None, None, None) for name, kind, *_ in columns]

    def describe_last_sql(cursor: Any) -> Any:
        return getattr(cursor, "described", None) or describe(cursor)

    cursor_class._execute, cursor_class._describe_last_sql = execute_and_keep, describe_last_sql  # noqa: SLF001
