"""The rejects file: the rows that were refused, as they came, with row number, code and reason before them.

It can be mended and dropped again as it is: the three columns in front are ignored by the pump.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

from marketo_assets.pump.files import REJECTS_FOLDER, Bucket
from marketo_assets.pump.ledger import FileVersion, Ledger
from marketo_assets.pump.reader import Chunk, CsvFile, chunks
from marketo_assets.warehouse.session import Row


def put_rejects(csv_file: CsvFile, file: FileVersion, ledger: Ledger, bucket: Bucket) -> str:
    """Write the refused rows of a file beside it, under `_rejects/`; returns the S3 URI."""
    columns = list(dict.fromkeys(csv_file.header))
    front = ["rejected_row_number", "rejected_code", "rejected_reason"]
    schema = pa.schema([(name, pa.binary()) for name in [*front, *columns]])
    local = csv_file.path.with_name("rejects.csv")
    options = pacsv.WriteOptions(quoting_style="all_valid")
    with pacsv.CSVWriter(local, schema, write_options=options) as writer:
        for chunk in chunks(csv_file, columns):
            numbers = [*chunk.row_numbers.tolist(), *(row.row_number for row in chunk.ragged)]
            refusals = ledger.refusals(file, min(numbers), max(numbers))
            if refusals:
                writer.write_table(_refused_rows(chunk, refusals, schema))
    return bucket.put(f"{REJECTS_FOLDER}/{_plain_name(file.path)}", local, {})


def _refused_rows(chunk: Chunk, refusals: list[Row], schema: pa.Schema) -> pa.Table:
    positions = {number: at for at, number in enumerate(chunk.row_numbers.tolist())}
    # A ragged row has no cells that could be told apart: it has no position, and its cells stay empty.
    at = pa.array([positions.get(row["row_number"]) for row in refusals], pa.int64())
    front = [
        pa.array([str(row[name] if row[name] is not None else "").encode() for row in refusals], pa.binary())
        for name in ("row_number", "code", "reason")
    ]
    return pa.table([*front, *(column.take(at) for column in chunk.cells.columns)], schema=schema)


def _plain_name(path: str) -> str:
    return str(Path(path).with_suffix("")) if path.lower().endswith(".gz") else path
