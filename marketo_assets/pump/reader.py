"""A CSV file from S3: fetched once, believed only when it agrees with what was said of it, read in chunks.

Here are bytes and structure: encoding, quotes, ragged rows, row numbers. What the cells mean is `values`' business.
Row numbers count data rows from 1; the header is not a row, blank lines are not rows.
"""

import codecs
import csv
import gzip
import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv

BLOCK_BYTES: Final = 16 << 20
"""What is parsed at once, and so the longest row that can be read. Memory is a few times this, whatever the file."""

_COPY_BYTES: Final = 1 << 20


class FileRefusedError(Exception):
    """The file as a whole cannot be believed or read; nothing of it was sent. Says what, where and what to do."""


@dataclass(frozen=True)
class CsvFile:
    """A fetched file: plain UTF-8 CSV on the local disk."""

    path: Path
    header: tuple[str, ...]
    sha256: str
    """Of the object as it lies on S3 (compressed, if it is compressed)."""
    byte_count: int


@dataclass(frozen=True)
class RaggedRow:
    """A row with too few or too many cells."""

    row_number: int
    expected: int
    found: int


@dataclass(frozen=True)
class Chunk:
    """Some rows of the file: the asked-for columns as raw cells (binary; null = unquoted empty)."""

    row_numbers: npt.NDArray[np.int64]
    cells: pa.RecordBatch
    ragged: tuple[RaggedRow, ...]


def store(body: IO[bytes], path: Path, *, compressed: bool) -> CsvFile:
    """Copy an S3 object to the local file `path`, uncompressed, hashing it on the way.

    Raises FileRefusedError for an empty file, a gzip that is cut short, UTF-16, or a quote that never closes.
    """
    stored = path.with_suffix(".object")
    digest, size = hashlib.sha256(), 0
    with stored.open("wb") as target:
        while block := body.read(_COPY_BYTES):
            digest.update(block)
            size += len(block)
            target.write(block)
    quotes = _plain_copy(stored, path, compressed=compressed)
    stored.unlink()
    header = _header(path)
    if quotes % 2:
        _refuse_open_quote(path)
    return CsvFile(path, header, digest.hexdigest(), size)


def _plain_copy(stored: Path, path: Path, *, compressed: bool) -> int:
    """Write the uncompressed text to `path`, ending in a newline; returns the number of quote characters."""
    quotes, last = 0, b""
    try:
        with gzip.open(stored) if compressed else stored.open("rb") as source, path.open("wb") as target:
            while block := source.read(_COPY_BYTES):
                if not last:
                    _refuse_utf16(block)
                quotes += block.count(b'"')
                target.write(block)
                last = block[-1:]
            if last not in {b"\n", b"\r", b""}:
                target.write(b"\n")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        message = f"the gzip file is damaged or cut short ({error}); upload it again"
        raise FileRefusedError(message) from None
    if not last:
        message = "the file is empty (0 bytes); expected a header row"
        raise FileRefusedError(message)
    return quotes


def _refuse_utf16(start: bytes) -> None:
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in start[:4]:
        message = "the file is in UTF-16 or UTF-32; expected UTF-8. Save or export it as UTF-8"
        raise FileRefusedError(message)


def _header(path: Path) -> tuple[str, ...]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as source:
            names = next(csv.reader(source), [])
    except UnicodeDecodeError:
        names = _header_beside_other_encoding(path)
    except csv.Error:
        names = []
    return tuple(names)


def _header_beside_other_encoding(path: Path) -> list[str]:
    # Bad bytes may stand in a data row near the header: they are that row's fault, not the header's.
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as source:
        return next(csv.reader(source), [])


def _refuse_open_quote(path: Path) -> None:
    """Find out whether an odd number of quotes means one that never closes; if so, refuse and name its row."""
    # A value may be as long as a block; the csv module's own bound is lower.
    csv.field_size_limit(BLOCK_BYTES)
    row_number = 0
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as source:
        rows = csv.reader(source, strict=True)
        try:
            for row in rows:
                row_number += bool(row)
        except csv.Error:
            message = (
                f"row {row_number}: a quote is opened and never closed, so where the following rows begin is not"
                " certain; close it, or double a quote that belongs to the value"
            )
            raise FileRefusedError(message) from None


def chunks(file: CsvFile, columns: Sequence[str]) -> Iterator[Chunk]:
    """Read the file block by block, only the named columns (names as in the header).

    Raises FileRefusedError for a row longer than BLOCK_BYTES.
    """
    ragged: list[RaggedRow] = []

    def on_ragged(row: pacsv.InvalidRow) -> str:
        # Arrow counts rows from 1 with the header.
        ragged.append(RaggedRow(row.number - 1, row.expected_columns, row.actual_columns))
        return "skip"

    next_row = 1
    try:
        for cells in _open(file, columns, on_ragged):
            row_numbers = _numbers(next_row, cells.num_rows, ragged)
            next_row = int(row_numbers[-1]) + 1 if len(row_numbers) else next_row
            yield Chunk(row_numbers, cells, tuple(row for row in ragged if row.row_number < next_row))
            ragged = [row for row in ragged if row.row_number >= next_row]
    except pa.ArrowInvalid as error:
        if "straddling" not in str(error):
            raise
        message = f"after row {next_row - 1}: a row is longer than {BLOCK_BYTES >> 20} MiB; shorten or remove it"
        raise FileRefusedError(message) from None
    if ragged:
        yield Chunk(np.empty(0, np.int64), _no_rows(columns), tuple(ragged))


def _no_rows(columns: Sequence[str]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=pa.schema([(name, pa.binary()) for name in columns]))


def _open(file: CsvFile, columns: Sequence[str], on_ragged: object) -> Iterator[pa.RecordBatch]:
    return pacsv.open_csv(  # type: ignore[no-any-return]  # pyarrow has no stubs
        file.path,
        # One thread: only then does Arrow know the numbers of ragged rows.
        read_options=pacsv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
        parse_options=pacsv.ParseOptions(newlines_in_values=True, invalid_row_handler=on_ragged),
        convert_options=pacsv.ConvertOptions(
            # Bytes: a value that is not UTF-8 is then one row's fault and not the file's.
            column_types=dict.fromkeys(columns, pa.binary()),
            include_columns=list(columns),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        ),
    )


def _numbers(first: int, count: int, ragged: Sequence[RaggedRow]) -> npt.NDArray[np.int64]:
    """Row numbers of `count` good rows from `first` on, passing over the ragged ones."""
    passed_over = np.array([row.row_number for row in ragged], np.int64)
    numbers = np.arange(first, first + count + len(ragged), dtype=np.int64)
    return np.setdiff1d(numbers, passed_over, assume_unique=True)[:count]


@dataclass(frozen=True)
class Scan:
    """What one reading of the whole file shows before anything is sent."""

    row_count: int
    superseded: npt.NDArray[np.bool_]
    """By row number (index 0 unused): the same key comes again in a later row."""


def normalise_key(raw: str) -> str:
    """The form in which keys are compared: trimmed and case-folded."""
    return raw.strip().casefold()


def scan(file: CsvFile, key_column: str) -> Scan:
    """Count the rows and find the keys that come more than once, in memory that holds 24 bytes a row.

    Raises FileRefusedError as `chunks` does.
    """
    digests, row_numbers, row_count = bytearray(), [], 0
    for chunk in chunks(file, [key_column]):
        row_count += chunk.cells.num_rows + len(chunk.ragged)
        numbers = []
        for number, cell in zip(chunk.row_numbers.tolist(), chunk.cells.column(0).to_pylist(), strict=True):
            key = normalise_key(cell.decode(errors="replace")) if cell else ""
            if key:
                # 16 bytes: two different keys of one digest are not to be expected before 10^18 rows.
                digests += hashlib.blake2b(key.encode(), digest_size=16).digest()
                numbers.append(number)
        row_numbers.append(np.array(numbers, np.int64))
    superseded = np.zeros(row_count + 1, np.bool_)
    if digests:
        rows = np.concatenate(row_numbers)
        halves = np.frombuffer(digests, np.uint64).reshape(-1, 2)
        order = np.lexsort((rows, halves[:, 1], halves[:, 0]))
        same_as_next = (halves[order[:-1]] == halves[order[1:]]).all(axis=1)
        superseded[rows[order[:-1][same_as_next]]] = True
    return Scan(row_count, superseded)
