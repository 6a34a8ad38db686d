"""Rows of the diff as Marketo wants them: records to upsert and keys to delete, as JSON, or what is wrong with them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import orjson
import pyarrow as pa

from marketo_assets.pump.mapping import MappedField
from marketo_assets.pump.rows import MAX_BATCH_BYTES, PreparedRow, faults_of, json_null, too_large
from marketo_assets.pump.source import as_text
from marketo_assets.pump.values import Column, cast_column
from marketo_assets.sync.objects_definition import ObjectMapping
from marketo_assets.sync.objects_ledger import Diff, ObjectLedger, ObjectResult

Settle = Callable[[Sequence[ObjectResult]], None]
"""Takes the results of rows that are not sent."""

_TOO_LARGE: Final = f"the row is over {MAX_BATCH_BYTES:,} bytes as JSON, more than Marketo takes in one call"


def rows_to_send(ledger: ObjectLedger, diff: Diff, mapping: ObjectMapping, settle: Settle) -> Iterator[PreparedRow]:
    """The records to upsert; a row with a value that is not of its field's type is settled whole."""
    names = [f"C_{at}" for at in range(len(mapping.fields))]
    for page in ledger.pages(diff, "send", names):
        cells = [as_text(page.column(name.lower())).combine_chunks() for name in names]
        yield from _prepared(page.column("row_number").to_pylist(), mapping.fields, cells, settle)


def keys_to_delete(ledger: ObjectLedger, diff: Diff, mapping: ObjectMapping, settle: Settle) -> Iterator[PreparedRow]:
    """The keys of the records to delete, as they were sent.

    A key that is of no use to the type as it is now names no record that Marketo could have, and counts as deleted.
    """

    def gone(results: Sequence[ObjectResult]) -> None:
        settle([ObjectResult(result.row_number, "deleted") for result in results])

    for page in ledger.pages(diff, "gone", ["sent_key"]):
        numbers = page.column("row_number").to_pylist()
        keys = dict(zip(numbers, map(orjson.loads, page.column("sent_key").to_pylist()), strict=True))
        usable = {number: parts for number, parts in keys.items() if len(parts) == len(mapping.key)}
        gone([ObjectResult(number, "deleted") for number in keys if number not in usable])
        cells = [pa.array(texts, pa.string()) for texts in zip(*usable.values(), strict=True)]
        if cells:
            yield from _prepared(list(usable), mapping.key, cells, gone)


def _prepared(
    numbers: Sequence[int], fields: Sequence[MappedField], cells: Sequence[Any], settle: Settle
) -> Iterator[PreparedRow]:
    columns: dict[str, Column] = {
        mapped.field.name: cast_column(column.cast(pa.binary()), mapped)
        for mapped, column in zip(fields, cells, strict=True)
    }
    faults = faults_of(columns, {mapped.field.name: mapped.column for mapped in fields})
    rejected = [ObjectResult(numbers[at], "rejected", *fault) for at, fault in faults.items()]
    names = list(columns)
    rows = []
    for at, values in enumerate(zip(*(column.values for column in columns.values()), strict=True)):
        if at in faults:
            continue
        record = {name: value for name, value in zip(names, values, strict=True) if value is not None}
        row = PreparedRow(numbers[at], "", orjson.dumps(record, default=json_null))
        if too_large(row):
            rejected.append(ObjectResult(row.row_number, "rejected", "row_too_large", _TOO_LARGE))
        else:
            rows.append(row)
    settle(rejected)
    yield from rows
