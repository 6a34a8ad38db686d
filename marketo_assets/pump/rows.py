"""Rows of a file as Marketo wants them, or as rejected: one JSON object a row, whole or not at all."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from marketo_assets.pump.mapping import LeadMapping, MappedField
from marketo_assets.pump.reader import Chunk, FileRefusedError, normalise_key
from marketo_assets.pump.values import CLEAR, EXPECTED, Clear, Column, cast_column

MAX_BATCH_ROWS: Final = 300
"""Leads in one call (fact sheet: Limits)."""

MAX_BATCH_BYTES: Final = 1_000_000 - 2_000
"""A request body is at most 1 MB (413 beyond); room is left for what stands around the rows."""

Status = Literal["created", "updated", "skipped", "rejected", "superseded", "unsent"]

STATUSES: Final[tuple[Status, ...]] = ("created", "updated", "skipped", "rejected", "superseded", "unsent")


class RowResult(NamedTuple):
    """What became of one row. `reason` never holds a value."""

    row_number: int
    key: str
    status: Status
    code: str | None = None
    reason: str | None = None
    lead_id: int | None = None


class PreparedRow(NamedTuple):
    """A row ready to be sent."""

    row_number: int
    key: str
    """Normalised: the form in which keys are compared."""
    body: bytes
    """The JSON object of an upsert by the lookup field."""


@dataclass(frozen=True)
class HeaderMatch:
    """Which columns of a file fill which fields."""

    columns: tuple[tuple[str, MappedField], ...]
    """Pairs of the header's own spelling and the mapped field."""
    key_column: str
    ignored: tuple[str, ...]
    """Columns of the file that no mapping line names."""
    absent: tuple[str, ...]
    """Mapped columns that the file does not have; their fields are left as they are."""


def match_header(header: Sequence[str], mapping: LeadMapping) -> HeaderMatch:
    """Match columns to mapping lines by name, blanks around it and case aside.

    Raises FileRefusedError when the key column is missing (as it is where a file has no header) or a column that
    is mapped stands twice.
    """
    spelled: dict[str, list[str]] = {}
    for name in header:
        spelled.setdefault(name.strip().casefold(), []).append(name)
    wanted = {m.column.casefold(): m for m in mapping.fields}
    key = mapping.key.column
    if key.casefold() not in spelled:
        # The names found are not told: without a header row they are a person's data.
        message = (
            f"the first row has no column {key!r} (it has {len(header)} cells, {len(wanted.keys() & spelled.keys())} of"
            f" them a mapped column's name); expected a header row that names the columns as marketo.yaml does"
        )
        raise FileRefusedError(message)
    twice = sorted(name for name in wanted if len(spelled.get(name, [])) > 1)
    if twice:
        message = f"the header names the column {twice[0]!r} twice; keep one of them"
        raise FileRefusedError(message)
    return HeaderMatch(
        columns=tuple((spelled[name][0], field) for name, field in wanted.items() if name in spelled),
        key_column=spelled[key.casefold()][0],
        ignored=tuple(names[0] for name, names in spelled.items() if name not in wanted),
        absent=tuple(m.column for name, m in wanted.items() if name not in spelled),
    )


def select(chunk: Chunk, wanted: npt.NDArray[np.bool_]) -> Chunk:
    """Keep the rows (ragged ones too) whose number is set in `wanted`."""
    keep = wanted[chunk.row_numbers]
    cells = chunk.cells if keep.all() else chunk.cells.filter(pa.array(keep))
    ragged = tuple(row for row in chunk.ragged if wanted[row.row_number])
    return Chunk(chunk.row_numbers[keep], cells, ragged)


def prepare(
    chunk: Chunk,
    match: HeaderMatch,
    mapping: LeadMapping,
    superseded: npt.NDArray[np.bool_],
) -> tuple[list[PreparedRow], list[RowResult]]:
    """Cast a chunk's rows; returns those to send and the results of those that will not be sent."""
    settled = [
        RowResult(row.row_number, "", "rejected", "ragged_row", f"expected {row.expected} cells, found {row.found}")
        for row in chunk.ragged
    ]
    if not len(chunk.row_numbers):
        return [], settled
    columns = {field.field.name: cast_column(chunk.cells.column(name), field) for name, field in match.columns}
    faults = faults_of(columns, {field.field.name: name for name, field in match.columns})
    names = list(columns)
    keys = columns[mapping.key.field.name].values
    to_send = []
    for at, (number, cells) in enumerate(
        zip(chunk.row_numbers.tolist(), zip(*(column.values for column in columns.values()), strict=True), strict=True),
    ):
        key = "" if keys[at] is None or keys[at] is CLEAR else normalise_key(str(keys[at]))
        if superseded[number]:
            settled.append(
                RowResult(
                    number, key, "superseded", "same_key", "the same key comes later, in this file or a newer one"
                )
            )
        elif at in faults:
            settled.append(RowResult(number, key, "rejected", *faults[at]))
        elif not key:
            settled.append(RowResult(number, key, "rejected", "blank_key", f"column {match.key_column!r} is blank"))
        else:
            lead = {name: value for name, value in zip(names, cells, strict=True) if value is not None}
            lead[mapping.key.field.name] = str(keys[at]).strip()
            to_send.append(PreparedRow(number, key, orjson.dumps(lead, default=json_null)))
    return to_send, settled


def faults_of(columns: Mapping[str, Column], spelled: Mapping[str, str]) -> dict[int, tuple[str, str]]:
    """The first fault of each bad row, by position in the chunk: code and reason."""
    faults: dict[int, tuple[str, str]] = {}
    for name, column in columns.items():
        for at, code in column.errors.items():
            faults.setdefault(at, (code, f"column {spelled[name]!r}, field {name!r}: expected {EXPECTED[code]}"))
    return faults


def json_null(value: object) -> None:
    """What CLEAR is in JSON, as orjson's `default`: null empties a field (fact sheet: sync leads)."""
    if not isinstance(value, Clear):
        raise TypeError


def batches(rows: Iterable[PreparedRow]) -> Iterator[list[PreparedRow]]:
    """Group rows into calls of up to 300 rows and 1 MB, in order."""
    batch: list[PreparedRow] = []
    size = 0
    for row in rows:
        if batch and (len(batch) == MAX_BATCH_ROWS or size + len(row.body) + 1 > MAX_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += len(row.body) + 1
    if batch:
        yield batch


def too_large(row: PreparedRow) -> bool:
    """Whether a row alone is more than a request may hold."""
    return len(row.body) > MAX_BATCH_BYTES
