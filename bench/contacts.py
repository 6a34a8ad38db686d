"""The contacts that the benchmarks send: those of the sandbox, with nothing in them that Marketo would refuse."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from marketo_assets.sandbox.contacts import SNOWFLAKE_TYPES, contact_schema, make_contacts
from marketo_assets.warehouse.session import Warehouse

LONGEST_TEXT = 255


def clean_contacts(count: int) -> Iterator[pa.Table]:
    """`count` contacts in parts: every e-mail valid and its own, no over-long text, null in place of an empty text.

    So exactly `count` rows reach Marketo, and a reader that cannot tell an empty text from a null sees the same rows.
    """
    start = 0
    for chunk in make_contacts(count):
        table = chunk.table
        numbers = pa.array(np.arange(start, start + table.num_rows)).cast(pa.string())
        for name in ("first_name", "last_name", "company_name"):
            table = _with(table, name, _mended(table.column(name)))
        yield _with(table, "email_address", pc.binary_join_element_wise("contact", numbers, "@example.com", ""))
        start += table.num_rows


def dirty_contacts(count: int) -> Iterator[pa.Table]:
    """`count` contacts as the sandbox makes them, with the dirt of a real contact table."""
    return (chunk.table for chunk in make_contacts(count))


def write_csv(tables: Iterator[pa.Table], columns: Sequence[str], path: Path) -> None:
    """Write the columns as `contacts/drop` does: every value in quotes, null as nothing at all."""
    schema = pa.schema([(name, pa.string()) for name in columns])
    with pacsv.CSVWriter(path, schema, write_options=pacsv.WriteOptions(quoting_style="all_valid")) as writer:
        for table in tables:
            writer.write_table(pa.table([table.column(name).cast(pa.string()) for name in columns], schema=schema))


def load_table(warehouse: Warehouse, name: str, tables: Iterator[pa.Table]) -> None:
    """Make the contact table anew. `name` as in SQL, with database and schema."""
    columns = ", ".join(f"{field.name} {SNOWFLAKE_TYPES[field.type]}" for field in contact_schema())
    warehouse.execute(f"create or replace table {name} ({columns})")
    names = ", ".join(contact_schema().names)
    for table in tables:
        with warehouse.staged(table) as staged:
            warehouse.execute(f"insert into {name} ({names}) select {names} from {staged}")


def _with(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


def _mended(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    cut = pc.utf8_slice_codeunits(texts, 0, LONGEST_TEXT)
    return pc.if_else(pc.equal(cut, ""), pa.scalar(None, pa.string()), cut)
