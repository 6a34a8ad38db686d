"""A session of the warehouse: queries in and out as rows or Arrow tables, transactions, bulk load.

The SQL stays within what Snowflake and its local stand-in both run: bulk data goes in by PUT and COPY INTO a
temporary table, and large results are read by pages of row numbers.
"""

import re
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from snowflake.connector import DictCursor, SnowflakeConnection

from marketo_assets.warehouse.sql import identifier

Row = dict[str, Any]

FEW_ROWS: Final = 200
FEW_BYTES: Final = 100_000
"""A statement may have 1 MB."""


class Warehouse:
    """One connection. Not for use by two threads at once; its owner opens and closes the connection."""

    def __init__(self, connection: SnowflakeConnection) -> None:
        """`connection` has its database and schema set; statements commit one by one outside `transaction`."""
        self._connection = connection
        self._created: set[str] = set()

    def execute(self, sql: str, **values: Any) -> int:
        """Run one statement; returns the number of rows it changed (0 where Snowflake reports none)."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql, values or None)
            return cursor.rowcount or 0

    def rows(self, sql: str, **values: Any) -> list[Row]:
        """A small result as dicts with lower-case keys."""
        with self._connection.cursor(DictCursor) as cursor:
            cursor.execute(sql, values or None)
            return [{key.lower(): value for key, value in row.items()} for row in cursor.fetchall()]

    def arrow(self, sql: str, **values: Any) -> pa.Table:
        """A result as an Arrow table with lower-case column names; a large one is the caller's to page."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql, values or None)
            batches = list(cursor.fetch_arrow_batches(force_microsecond_precision=True))
            table = joined(batches) if batches else cursor.fetch_arrow_all(force_return_table=True)
        return table.rename_columns([name.lower() for name in table.column_names])

    def columns(self, table: str) -> list[str]:
        """Names of a table's columns in lower case. `table` is a quoted name; raises ProgrammingError without it."""
        with self._connection.cursor() as cursor:
            cursor.execute(f"select * from {table} where 1 = 0")
            return [column.name.lower() for column in cursor.description]

    def create(self, statements: str) -> None:
        """Run DDL statements (`create table if not exists …`), each ended by a semicolon at the end of a line.

        Tables that are all there cost one question, not a statement each: most runs find them so. What was there once
        in this session is not asked for again.
        """
        names = {name.upper() for name in re.findall(r"create table if not exists (\w+)", statements)}
        if names and names <= self._created:
            return
        self._created |= self._tables()
        if names and names <= self._created:
            return
        for sql in filter(None, map(str.strip, statements.split(";\n"))):
            self.execute(sql)
        self._created |= names

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. No DDL inside: Snowflake would commit at it."""
        self.execute("begin")
        try:
            yield
        except BaseException:
            self.execute("rollback")
            raise
        self.execute("commit")

    @contextmanager
    def staged(self, table: pa.Table) -> Iterator[str]:
        """Load an Arrow table into a temporary table of its own, yield its quoted name, drop it at the end.

        Temporary: nobody else sees it, and it goes with its session if the process is killed. It may hold personal
        data. Few rows go with one statement; PUT and COPY INTO are three, and a file.
        """
        name = identifier(f"LOAD_{secrets.token_hex(8)}")
        few = _few_rows(table)
        if few is None:
            columns = ", ".join(f"{identifier(field.name)} {_snowflake_type(field.type)}" for field in table.schema)
            self.execute(f"create temporary table {name} ({columns})")
        else:
            self.execute(f"create temporary table {name} as {few}")
        try:
            if few is None:
                self._copy_into(name, table)
            yield name
        finally:
            self.execute(f"drop table if exists {name}")

    def _tables(self) -> set[str]:
        rows = self.rows(
            "select table_name as name from information_schema.tables where table_schema = current_schema()",
        )
        return {row["name"] for row in rows}

    def _copy_into(self, name: str, table: pa.Table) -> None:
        if not table.num_rows:
            return
        stage = identifier(f"STAGE_{secrets.token_hex(8)}")
        upper = table.rename_columns([column.upper() for column in table.column_names])
        with tempfile.TemporaryDirectory(prefix="marketo_assets_") as folder:
            file = Path(folder) / "rows.parquet"
            pq.write_table(upper, file)
            self.execute(f"create temporary stage {stage}")
            self.execute(f"put 'file://{file}' @{stage} auto_compress=false")
        self.execute(
            f"copy into {name} from @{stage} file_format=(type=parquet use_logical_type=true)"
            " match_by_column_name=case_insensitive",
        )


def _few_rows(table: pa.Table) -> str | None:
    """A query that gives the rows of a small table; None for a large one, or one that JSON cannot carry."""
    has_floats = any(pa.types.is_floating(field.type) for field in table.schema)  # JSON has no NaN and no infinity
    if not 0 < table.num_rows <= FEW_ROWS or has_floats:
        return None
    rows = orjson.dumps([list(row.values()) for row in table.to_pylist()])
    if len(rows) > FEW_BYTES or rb"\u0000" in rows:
        return None
    columns = ", ".join(
        f"f.value[{at}]::{_snowflake_type(field.type)} as {identifier(field.name)}"
        for at, field in enumerate(table.schema)
    )
    # In hexadecimal, so that no value can be taken for SQL.
    return f"select {columns} from table(flatten(input => parse_json(hex_decode_string('{rows.hex()}')))) f"


def joined(batches: Sequence[pa.Table]) -> pa.Table:
    """One table of a result's batches, whose numbers Snowflake sends as narrow as the values of each batch allow."""
    return pa.concat_tables(batches, promote_options="permissive")


def _snowflake_type(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return "number(38, 0)"
    if pa.types.is_floating(kind):
        return "float"
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_date(kind):
        return "date"
    if pa.types.is_timestamp(kind):
        return "timestamp_ntz"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "varchar"
    message = f"no Snowflake type is known for Arrow's {kind}"
    raise TypeError(message)
