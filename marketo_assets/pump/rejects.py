"""The rejects file: the rows that were refused, as they came, with row number, code and reason before them.

It can be mended and dropped again as it is: the three columns in front are ignored by the pump. Of a column that the
header names twice, which cannot be a mapped one, only the first is there.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

import pyarrow as pa

from marketo_assets.pump.files import REJECTS_FOLDER, Bucket
from marketo_assets.pump.ledger import FileVersion, Ledger
from marketo_assets.pump.reader import Chunk, CsvFile, chunks
from marketo_assets.warehouse.session import Row

_FRONT: Final = ("rejected_row_number", "rejected_code", "rejected_reason")

STRETCH_ROWS: Final = 20_000
"""Rows of the file whose refusals are asked for at once: each question costs the warehouse a query."""


def put_rejects(csv_file: CsvFile, file: FileVersion, ledger: Ledger, bucket: Bucket) -> str:
    """Write the refused rows of a file beside it, under `_rejects/`; returns the S3 URI."""
    columns = list(dict.fromkeys(csv_file.header))
    local = csv_file.path.with_name("rejects.csv")
    with local.open("wb") as rejects:
        rejects.write(_line(name.encode() for name in (*_FRONT, *columns)))
        refusals: list[Row] = []
        known_to = 0
        for chunk in chunks(csv_file, columns):
            last = max([*chunk.row_numbers.tolist(), *(row.row_number for row in chunk.ragged)])
            if last > known_to:
                first, known_to = known_to + 1, max(last, known_to + STRETCH_ROWS)
                refusals += ledger.refusals(file, first, known_to)
            of_chunk = [row for row in refusals if row["row_number"] <= last]
            rejects.writelines(_refused_lines(chunk, of_chunk))
            refusals = refusals[len(of_chunk) :]
    return bucket.put(_rejects_path(file), local, {})


def _refused_lines(chunk: Chunk, refusals: list[Row]) -> Iterator[bytes]:
    positions = {number: at for at, number in enumerate(chunk.row_numbers.tolist())}
    # A ragged row has no cells that could be told apart: it has no position, and its cells stay empty.
    at = pa.array([positions.get(row["row_number"]) for row in refusals], pa.int64())
    columns = [column.take(at).to_pylist() for column in chunk.cells.columns]
    for row, cells in zip(refusals, zip(*columns, strict=True), strict=True):
        front = (str(row[name] or "").encode() for name in ("row_number", "code", "reason"))
        yield _line((*front, *cells))


def _line(cells: Iterable[bytes | None]) -> bytes:
    """As RFC 4180 writes it, null as nothing at all. In bytes, which Arrow would not write if they are no text."""
    return b",".join(b"" if cell is None else b'"%b"' % cell.replace(b'"', b'""') for cell in cells) + b"\n"


def _rejects_path(file: FileVersion) -> str:
    """One per content of a file: a later one must not take the place of an earlier one's rejects."""
    name = re.sub(r"\.csv(\.gz)?$", "", file.path, flags=re.IGNORECASE)
    return f"{REJECTS_FOLDER}/{name}@{file.version}.csv"
