"""The file of a bulk extract job as rows: block by block, byte for byte, and no row more or less than the job said.

A block is first judged whole: a pattern shows which of its lines are a record as RFC 4180 has it with valid JSON. Those
Arrow reads; the others are mended one by one by `csv_record`. How the file got here, and that it is the one Marketo
made, belongs to `marketo.bulk_extract`.
"""

import codecs
import csv
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from marketo_assets.extract.csv_record import COLUMNS, Layout, RecordError
from marketo_assets.extract.rows import ACTIVITY_SCHEMA, NO_ATTRIBUTES

BLOCK_BYTES: Final = 4 << 20
"""What is read at once; reading it takes several times as much memory."""

TABLE_BYTES: Final = 16 << 20
"""How large the tables are: some 50,000 rows."""

LONGEST_RECORD_BYTES: Final = 16 << 20
"""The longest record that can be read; what Snowflake takes as one value."""

_LONGEST_HEADER_BYTES: Final = 1 << 20
_UTC: Final = pa.timestamp("us", "UTC")


class ActivityFileError(ValueError):
    """A file that cannot be read or does not hold what its job said. Names the row, counted from 1 after the header."""


def read_activities(path: Path, *, rows: int | None) -> Iterator[pa.Table]:
    """The activities of a bulk file as tables of ACTIVITY_SCHEMA, in the file's order, in bounded memory.

    `rows` is how many its job said there are; None: it did not say. Columns are found by their header names; an empty
    primary value is none. An empty file without even a header holds no rows. Raises ActivityFileError.
    """
    found, size, tables = 0, 0, list[pa.Table]()
    with path.open("rb") as file:
        layout = _layout(file)
        for table in _tables(file, layout) if layout else ():
            found += table.num_rows
            size += table.nbytes
            tables.append(table)
            if size >= TABLE_BYTES:
                yield pa.concat_tables(tables)
                size, tables = 0, []
    if tables:
        yield pa.concat_tables(tables)
    if rows is not None and found != rows:
        raise ActivityFileError(f"the file holds {found} rows, its job said {rows}")


def _layout(file: IO[bytes]) -> Layout | None:
    header = file.readline(_LONGEST_HEADER_BYTES).removeprefix(codecs.BOM_UTF8).decode(errors="replace")
    names = tuple(name.strip() for name in next(csv.reader([header]), ()))
    if not any(names):
        return None
    if unclear := [name for name in COLUMNS if names.count(name) != 1]:
        raise ActivityFileError(f"the header does not name {', '.join(unclear)} once each")
    return Layout(names)


def _tables(file: IO[bytes], layout: Layout) -> Iterator[pa.Table]:
    text, done, is_last = b"", 0, False
    while not is_last:
        before = len(text)
        text += file.read(BLOCK_BYTES)
        is_last = len(text) - before < BLOCK_BYTES
        if is_last and text and not text.endswith(b"\n"):
            text += b"\n"
        table, used = _Block(text, layout, done, is_last=is_last).table()
        text, done = text[used:], done + table.num_rows
        if len(text) > LONGEST_RECORD_BYTES + BLOCK_BYTES:
            raise ActivityFileError(f"row {done + 1}: longer than {LONGEST_RECORD_BYTES >> 20} MiB")
        if table.num_rows:
            yield table


class _Block:
    """Some text of the file that begins with a record."""

    def __init__(self, text: bytes, layout: Layout, done: int, *, is_last: bool) -> None:
        """`done`: rows before it."""
        self._text = text
        self._layout = layout
        self._done = done
        self._is_last = is_last
        self._starts = _line_starts(text)
        """Of its whole lines, and behind the last of them."""

    def table(self) -> tuple[pa.Table, int]:
        """Its whole records, and how many bytes they take."""
        is_plain = self._is_plain()
        with suppress(pa.ArrowInvalid):
            return self._read(np.flatnonzero(~is_plain))
        # Something that only the calendar or the encoding forbids: looked at one by one, its row has a number.
        try:
            return self._read(np.arange(len(is_plain)))
        except pa.ArrowInvalid:
            # What the error says is not told: it quotes the file.
            raise ActivityFileError(f"after row {self._done}: a value is not of its column's type") from None

    def _is_plain(self) -> npt.NDArray[np.bool_]:
        offsets, text = pa.py_buffer(self._starts), pa.py_buffer(self._text)
        lines = pa.StringArray.from_buffers(len(self._starts) - 1, offsets, text)
        is_plain = pc.match_substring_regex(lines, self._layout.plain_line, memory_pool=_pool())
        return is_plain.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]  # pyarrow has no stubs

    def _read(self, odd: npt.NDArray[np.int64]) -> tuple[pa.Table, int]:
        if not len(odd):
            used, count = int(self._starts[-1]), len(self._starts) - 1
            return _parse(pa.py_buffer(self._text).slice(0, used), count, self._layout), used
        plain, count, used = self._mended(odd)
        return _parse(pa.py_buffer(plain), count, self._layout), used

    def _mended(self, odd: npt.NDArray[np.int64]) -> tuple[bytes, int, int]:
        """The text with the odd lines mended, its records, and how much of the text they were.

        Raises ActivityFileError for a record that cannot be read.
        """
        pieces, count, line, last = [], 0, 0, len(self._starts) - 1
        for number in odd.tolist():
            if number < line:
                continue  # a line within the record before
            pieces.append(self._between(line, number))
            count += number - line
            line = number
            if not self._between(line, line + 1).strip():
                line += 1
                continue
            record = self._mend(line, self._done + count + 1)
            if record is None:
                last = line
                break
            pieces.append(record[0])
            count += 1
            line = int(np.searchsorted(self._starts, record[1]))
        else:
            pieces.append(self._between(line, last))
            count += last - line
        return b"".join(pieces), count, int(self._starts[last])

    def _between(self, line: int, other: int) -> bytes:
        return self._text[self._starts[line] : self._starts[other]]

    def _mend(self, line: int, row: int) -> tuple[bytes, int] | None:
        start, end = int(self._starts[line]), int(self._starts[-1])
        try:
            return self._layout.mend(self._text, start, end, is_last=self._is_last)
        except RecordError as error:
            raise ActivityFileError(f"row {row}: {error}") from None


def _line_starts(text: bytes) -> npt.NDArray[np.int32]:
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
    starts = np.zeros(len(ends) + 1, np.int32)
    starts[1:] = ends + 1
    return starts


def _parse(text: pa.Buffer, count: int, layout: Layout) -> pa.Table:
    """Plain lines as rows. Raises pa.ArrowInvalid for a value that is not of its column's type."""
    if not count:
        return ACTIVITY_SCHEMA.empty_table()
    types = dict(zip(COLUMNS, ACTIVITY_SCHEMA.types, strict=True)) | {"activityDate": _UTC}
    read = pacsv.read_csv(
        pa.BufferReader(text),
        read_options=pacsv.ReadOptions(use_threads=False, block_size=text.size + 1, column_names=list(layout.names)),
        parse_options=pacsv.ParseOptions(newlines_in_values=True),
        convert_options=pacsv.ConvertOptions(
            column_types=types,
            include_columns=list(COLUMNS),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=["null", ""],
        ),
        memory_pool=_pool(),
    )
    if read.num_rows != count or read["marketoGUID"].null_count:
        raise pa.ArrowInvalid
    columns = [*read.columns[:-1], pc.fill_null(read["attributes"], NO_ATTRIBUTES)]
    arrays = [column.cast(field.type) for column, field in zip(columns, ACTIVITY_SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=ACTIVITY_SCHEMA)


def _pool() -> pa.MemoryPool:
    # The default pool keeps the most it has ever held; this one gives memory back between blocks.
    return pa.jemalloc_memory_pool() if "jemalloc" in pa.supported_memory_backends() else pa.default_memory_pool()
