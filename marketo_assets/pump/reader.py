"""A CSV file from S3: fetched once, believed only when it agrees with what was said of it, read in chunks.

Here are bytes and structure: encoding, quotes, ragged rows, row numbers. What the cells mean is `values`' business.
Row numbers count data rows from 1; the header is not a row, blank lines are not rows.
"""

import codecs
import csv
import gzip
import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv

BLOCK_BYTES: Final = 1 << 18
"""What is parsed at once. Arrow reads up to 32 blocks ahead, so memory is several tens of this, whatever the file."""

CHUNK_ROWS: Final = 1_200
"""Rows that are handed on together, from as many blocks as it takes: each step has a price of its own."""

LONGEST_ROW_BYTES: Final = 16 << 20
"""The longest row that can be read. A file with a row longer than a block is read in blocks of this size instead."""

_COPY_BYTES: Final = 1 << 20
_GZIP_MAGIC: Final = b"\x1f\x8b"


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
    declared_row_count: int | None = None
    """What its producer says that it holds."""


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

    Raises FileRefusedError for an empty file, a gzip that is cut short, UTF-16, or quotes that do not fit together.
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
    if not quotes.are_in_place:
        _refuse_misplaced_quote(path)
    return CsvFile(path, header, digest.hexdigest(), size)


class _Quotes:
    """Whether the quotes of a text stand where RFC 4180 puts them, found out block by block without parsing.

    Quotes open and close a value in turn; one that is doubled within a value closes and opens at once. So one that
    opens must follow a separator or a quote, and one that closes must come before a separator or a quote.
    """

    _NEIGHBOURS: Final = np.isin(np.arange(256), np.frombuffer(b',\r\n"', np.uint8))

    def __init__(self) -> None:
        self._last = b"\n"
        self._is_open = False
        self._misplaced = False

    def read(self, block: bytes) -> None:
        """Take the next block of the text."""
        text = np.frombuffer(self._last + block, np.uint8)
        at = np.flatnonzero(text[1:] == ord('"')) + 1
        opening, closing = at[int(self._is_open) :: 2], at[1 - int(self._is_open) :: 2]
        if self._last == b'"' and not self._is_open:
            closing = np.append(closing, 0)
        followed = text[closing[closing < len(text) - 1] + 1]
        fits = self._NEIGHBOURS[text[opening - 1]].all() and self._NEIGHBOURS[followed].all()
        self._misplaced |= not fits
        self._is_open ^= len(at) % 2 == 1
        self._last = block[-1:]

    @property
    def are_in_place(self) -> bool:
        """True: every value is quoted as a whole or not at all, and every quote is closed."""
        return not (self._misplaced or self._is_open)


def _plain_copy(stored: Path, path: Path, *, compressed: bool) -> _Quotes:
    """Write the uncompressed text to `path`, ending in a newline."""
    quotes, last = _Quotes(), b""
    try:
        with gzip.open(stored) if compressed else stored.open("rb") as source, path.open("wb") as target:
            while block := source.read(_COPY_BYTES):
                if not last:
                    _refuse_other_than_utf8(block)
                quotes.read(block if last else block.removeprefix(codecs.BOM_UTF8))
                target.write(block)
                last = block[-1:]
            if last not in {b"\n", b"\r", b""}:
                target.write(b"\n")
    except (EOFError, gzip.BadGzipFile, zlib.error):
        # What the error says is not told: it may quote the file.
        message = "the name ends in .gz, but the file is cut short, damaged or not in gzip; upload it again"
        raise FileRefusedError(message) from None
    if not last:
        message = "the file is empty (0 bytes); expected a header row"
        raise FileRefusedError(message)
    return quotes


def _refuse_other_than_utf8(start: bytes) -> None:
    if start.startswith(_GZIP_MAGIC):
        message = "the file is in gzip, but its name does not end in .gz; upload it as .csv.gz"
        raise FileRefusedError(message)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in start[:4]:
        message = "the file is in UTF-16 or UTF-32; expected UTF-8. Save or export it as UTF-8"
        raise FileRefusedError(message)


def _header(path: Path) -> tuple[str, ...]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as source:
            return _first_row(source)
    except UnicodeDecodeError:
        # Bad bytes may stand in a data row near the header: they are that row's fault, not the header's.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as source:
            names = _first_row(source)
    if any("\udc80" <= letter <= "\udcff" for letter in "".join(names)):
        message = "the header row is not in UTF-8; save or export the file as UTF-8"
        raise FileRefusedError(message)
    return names


def _first_row(source: IO[str]) -> tuple[str, ...]:
    try:
        return tuple(next(filter(None, csv.reader(source)), ()))
    except csv.Error:
        return ()


def _refuse_misplaced_quote(path: Path) -> None:
    """Read the file by the letter of RFC 4180: quotes within a value that is not quoted are its text, others refuse it.

    Raises FileRefusedError that names the row.
    """
    # The csv module's own bound for a value is lower than ours.
    csv.field_size_limit(LONGEST_ROW_BYTES)
    row_number = 0
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as source:
        rows = csv.reader(source, strict=True)
        try:
            for row in rows:
                row_number += bool(row)
        except csv.Error:
            message = (
                f"row {row_number}: a quote is opened and never closed, or a value goes on after its closing quote, so"
                " where the following rows begin is not certain; close it, or double a quote that belongs to the value"
            )
            raise FileRefusedError(message) from None


def chunks(file: CsvFile, columns: Sequence[str]) -> Iterator[Chunk]:
    """Read the file block by block, only the named columns (names as in the header).

    Raises FileRefusedError for a row longer than LONGEST_ROW_BYTES.
    """
    next_row = 1
    for block_bytes in (BLOCK_BYTES, LONGEST_ROW_BYTES):
        try:
            for chunk in _blocks(file, columns, block_bytes):
                fresh = _from_row(chunk, next_row)
                count = len(fresh.row_numbers) + len(fresh.ragged)
                next_row += count
                if count:
                    yield fresh
        except pa.ArrowInvalid as error:
            if "straddling" not in str(error):
                raise
        else:
            return
    message = f"after row {next_row - 1}: a row is longer than {LONGEST_ROW_BYTES >> 20} MiB; shorten or remove it"
    raise FileRefusedError(message)


def _from_row(chunk: Chunk, first: int) -> Chunk:
    """What of a chunk has not been read before: rows and ragged rows from number `first` on."""
    if not len(chunk.row_numbers) or chunk.row_numbers[0] >= first:
        return chunk
    start = int(np.searchsorted(chunk.row_numbers, first))
    ragged = tuple(row for row in chunk.ragged if row.row_number >= first)
    return Chunk(chunk.row_numbers[start:], chunk.cells.slice(start), ragged)


def _blocks(file: CsvFile, columns: Sequence[str], block_bytes: int) -> Iterator[Chunk]:
    ragged: list[RaggedRow] = []

    def on_ragged(row: pacsv.InvalidRow) -> str:
        # Arrow counts rows from 1 with the header.
        ragged.append(RaggedRow(row.number - 1, row.expected_columns, row.actual_columns))
        return "skip"

    next_row = 1
    for cells in _joined(_open(file, columns, on_ragged, block_bytes)):
        row_numbers = _numbers(next_row, cells.num_rows, ragged)
        next_row = int(row_numbers[-1]) + 1 if len(row_numbers) else next_row
        yield Chunk(row_numbers, cells, tuple(row for row in ragged if row.row_number < next_row))
        ragged = [row for row in ragged if row.row_number >= next_row]
    if ragged:
        yield Chunk(np.empty(0, np.int64), _no_rows(columns), tuple(ragged))


def _joined(blocks: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Blocks brought together; those before one that cannot be read are handed on before the error is raised."""
    waiting: list[pa.RecordBatch] = []
    try:
        for block in blocks:
            waiting.append(block)
            if sum(each.num_rows for each in waiting) >= CHUNK_ROWS:
                yield pa.concat_batches(waiting)
                waiting = []
    finally:
        if waiting:
            yield pa.concat_batches(waiting)


def _no_rows(columns: Sequence[str]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=pa.schema([(name, pa.binary()) for name in columns]))


def _open(file: CsvFile, columns: Sequence[str], on_ragged: object, block_bytes: int) -> Iterator[pa.RecordBatch]:
    return pacsv.open_csv(  # type: ignore[no-any-return]  # pyarrow has no stubs
        file.path,
        # One thread: only then does Arrow know the numbers of ragged rows.
        read_options=pacsv.ReadOptions(use_threads=False, block_size=block_bytes),
        parse_options=pacsv.ParseOptions(newlines_in_values=True, invalid_row_handler=on_ragged),
        convert_options=pacsv.ConvertOptions(
            # Bytes: a value that is not UTF-8 is then one row's fault and not the file's.
            column_types=dict.fromkeys(columns, pa.binary()),
            include_columns=list(columns),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        ),
        # The default pool keeps the most it has ever held; this one gives memory back between blocks.
        memory_pool=pa.jemalloc_memory_pool() if "jemalloc" in pa.supported_memory_backends() else None,
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
            # Bytes that are no text stay apart: their rows will be rejected, each for itself.
            key = normalise_key(cell.decode(errors="backslashreplace")) if cell else ""
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
