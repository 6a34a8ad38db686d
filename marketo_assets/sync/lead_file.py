"""The file of an export of leads, one after the other, in bounded memory.

Values hold line breaks, and quotes that are not doubled (fact: Bulk Extract, "File content"), so where a record ends is
not believed of its quotes but of its frame: it begins with the lead's id and ends with the time of its creation, which
every lead has. What stands between the two and is not CSV by the letter is not guessed at: the id is given out alone,
and whoever needs the lead reads it by REST.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import IO, Final, NamedTuple

FIRST: Final = "id"
LAST: Final = "createdAt"
"""The columns that a record begins and ends with."""

LONGEST_RECORD_BYTES: Final = 16 << 20

_BEGINS: Final = re.compile(rb'"?([0-9]{1,18})"?,')
_ENDS: Final = re.compile(rb',"?[0-9]{4}-[0-9]{2}-[0-9]{2}T[^",\s]*"?\r?\n?\Z')
_LONGEST_END: Final = 64
_CELL: Final = r'("(?:[^"]|"")*+"|[^",\n]*)'
_NO_VALUE: Final = ("", "null")


class LeadFileError(ValueError):
    """A file that does not hold what its job said. Names the row, counted from 1 after the header; never a value."""


class ExportedLead(NamedTuple):
    """A lead of the file."""

    lead_id: int
    values: dict[str, str | None] | None
    """As text by column; None where the record cannot be read for certain."""


def columns_for(fields: Iterable[str]) -> tuple[str, ...]:
    """The columns to ask for, in their order, so that `read_leads` finds its way."""
    return (FIRST, *(name for name in fields if name not in {FIRST, LAST}), LAST)


def read_leads(path: Path, columns: Sequence[str], *, rows: int | None) -> Iterator[ExportedLead]:
    """The leads of a file with these columns; `rows` is how many its job said there are, None: it did not say.

    An empty file without even a header holds no leads. The word null stands for no value, and for itself: the file does
    not tell the two apart. Raises LeadFileError.
    """
    found = unread = 0
    with path.open("rb") as file:
        reader = _Reader(columns)
        for record in _records(file) if reader.knows(file.readline()) else ():
            found += 1
            lead = reader.lead(record, found)
            unread += lead.values is None
            yield lead
    # A record that cannot be read may be one that was cut in two.
    if rows is not None and not found - unread <= rows <= found:
        raise LeadFileError(f"the file holds {found} rows, its job said {rows}")


def _records(lines: IO[bytes]) -> Iterator[bytes]:
    """Lines brought together: a line break belongs to a value unless a record's end is before it and a start after."""
    record: list[bytes] = []
    size = 0
    for line in lines:
        if record and _BEGINS.match(line) and _ENDS.search(record[-1][-_LONGEST_END:]):
            yield b"".join(record)
            record, size = [], 0
        record.append(line)
        size += len(line)
        if size > LONGEST_RECORD_BYTES:
            raise LeadFileError(f"a record is longer than {LONGEST_RECORD_BYTES >> 20} MiB")
    if record:
        yield b"".join(record)


class _Reader:
    """Records of these columns."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns

    @cached_property
    def _record(self) -> re.Pattern[str]:
        """By RFC 4180, with quotes around whole values only."""
        return re.compile(",".join([_CELL] * len(self._columns)))

    def knows(self, header: bytes) -> bool:
        """Whether there is anything to read. Raises LeadFileError for columns that were not asked for."""
        names = [name.strip() for name in next(csv.reader([header.decode("utf-8-sig", errors="replace")]), ())]
        if any(names) and names != [*self._columns]:
            raise LeadFileError(f"the header does not name the {len(self._columns)} columns asked for, in their order")
        return any(names)

    def lead(self, record: bytes, row: int) -> ExportedLead:
        """One record as a lead. Raises LeadFileError for one without an id."""
        begins = _BEGINS.match(record)
        if begins is None:
            raise LeadFileError(f"row {row}: it does not begin with the id of a lead")
        cells = self._cells(record)
        values = None if cells is None else dict(zip(self._columns, map(_value, cells), strict=True))
        return ExportedLead(int(begins[1]), values)

    def _cells(self, record: bytes) -> Sequence[str] | None:
        try:
            text = record.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            return None
        if '"' in text:
            found = self._record.fullmatch(text)
            return found.groups() if found else None
        cells = text.split(",")
        return cells if len(cells) == len(self._columns) and "\n" not in text else None


def _value(cell: str) -> str | None:
    if cell.startswith('"'):
        return cell[1:-1].replace('""', '"')
    return None if cell in _NO_VALUE else cell
