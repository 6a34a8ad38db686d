"""Cells of a CSV file as values of a Marketo field's type, a column at a time.

A column is cast whole by Arrow; only where Arrow finds a value that it cannot read are the cells looked at one
by one. Nothing is guessed: a value is sent as what it says, or its row is rejected with a code.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from marketo_assets.pump.mapping import MappedField

# A text area holds 30,000 bytes, every other text its Describe length in characters (fact sheet: fields).
TEXT_BYTES: Final = 30_000
INTEGER_BOUND: Final = 2**31

_TRUE = ("true", "t", "yes", "y", "1")
_FALSE = ("false", "f", "no", "n", "0")
_EMPTY: Final = pa.scalar(b"")


class Clear:
    """Stands where a field is to be emptied, so that it is told apart from a field that is left as it is."""


CLEAR: Final = Clear()


@dataclass
class Column:
    """One field's values for a chunk of rows: a value, None (leave the field as it is) or CLEAR for each row."""

    values: list[Any]
    errors: dict[int, str] = field(default_factory=dict)
    """Code of the fault, by position in the chunk."""


class _BadValueError(ValueError):
    """A cell that is not of the field's type; its argument is the code."""


def cast_column(cells: pa.Array, mapped: MappedField) -> Column:
    """Cast one column of raw cells (binary; null = unquoted empty, b"" = quoted empty) to the field's type."""
    if pc.index(cells, _EMPTY).as_py() < 0:
        column = _cast(cells, mapped)
    else:
        is_empty = pc.equal(cells, _EMPTY)
        column = _cast(pc.if_else(is_empty, pa.scalar(None, pa.binary()), cells), mapped)
        for at in pc.indices_nonzero(pc.fill_null(is_empty, fill_value=False)).to_pylist():
            column.values[at] = CLEAR
    if mapped.when_null == "clear" and cells.null_count:
        for at in pc.indices_nonzero(cells.is_null()).to_pylist():
            column.values[at] = CLEAR
    return column


def _cast(cells: pa.Array, mapped: MappedField) -> Column:
    whole, one = _CASTS.get(mapped.field.data_type, (_texts, _text))
    try:
        values = whole(cells.cast(pa.string()), mapped)
    except (pa.ArrowInvalid, _BadValueError):
        # Arrow says that some cell is bad, not which: look at each, keep the good ones.
        return _cell_by_cell(cells, mapped, one)
    return Column(values.to_pylist())


def _cell_by_cell(cells: pa.Array, mapped: MappedField, one: Callable[[str, MappedField], Any]) -> Column:
    column = Column([None] * len(cells))
    for at, cell in enumerate(cells.to_pylist()):
        if cell is None:
            continue
        try:
            column.values[at] = one(cell.decode(), mapped)
        except UnicodeDecodeError:
            column.errors[at] = "not_utf8"
        except _BadValueError as bad:
            column.errors[at] = str(bad)
    return column


def _texts(cells: pa.Array, mapped: MappedField) -> pa.Array:
    if mapped.field.data_type == "email":
        cells = pc.utf8_trim_whitespace(cells)
    limit = _limit(mapped)
    size = pc.binary_length(cells) if mapped.field.data_type == "text" else pc.utf8_length(cells)
    if limit is not None and (pc.max(size).as_py() or 0) > limit:
        raise _BadValueError("too_long")
    if mapped.field.data_type == "email" and not _every(pc.string_is_ascii(cells)):
        raise _BadValueError("not_ascii")
    if pc.any(pc.match_substring(cells, "\0")).as_py():
        raise _BadValueError("nul_byte")
    return cells


def _text(value: str, mapped: MappedField) -> str:
    if "\0" in value:
        raise _BadValueError("nul_byte")
    if mapped.field.data_type == "email" and not (value := value.strip()).isascii():
        # Marketo takes ASCII e-mail addresses only (fact sheet: sync leads).
        raise _BadValueError("not_ascii")
    limit = _limit(mapped)
    if limit is None:
        return value
    in_bytes = mapped.field.data_type == "text"
    if (len(value.encode()) if in_bytes else len(value)) <= limit:
        return value
    if mapped.when_too_long == "reject":
        raise _BadValueError("too_long")
    return value.encode()[:limit].decode(errors="ignore") if in_bytes else value[:limit]


def _every(mask: pa.Array) -> bool:
    return bool(pc.all(mask, min_count=0).as_py())


def _limit(mapped: MappedField) -> int | None:
    if mapped.field.data_type == "text":
        return mapped.field.length or TEXT_BYTES
    return mapped.field.length


def _booleans(cells: pa.Array, _mapped: MappedField) -> pa.Array:
    try:
        return cells.cast(pa.bool_())  # true, false, 1 and 0: one step of Arrow's instead of five
    except pa.ArrowInvalid:
        pass  # Arrow knows no yes and no; what is neither is found below
    words = pa.array([*_TRUE, *_FALSE])
    at = pc.index_in(pc.utf8_lower(cells), value_set=words)
    if at.null_count != cells.null_count:
        raise _BadValueError("invalid_boolean")
    return pc.less(at, len(_TRUE))


def _boolean(value: str, _mapped: MappedField) -> bool:
    word = value.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise _BadValueError("invalid_boolean")


def _integers(cells: pa.Array, _mapped: MappedField) -> pa.Array:
    if pc.any(pc.match_substring(pc.utf8_lower(cells), "x")).as_py():
        # Arrow would take "0x10" for sixteen.
        raise _BadValueError("invalid_integer")
    values = cells.cast(pa.int64())
    span = pc.min_max(values).as_py()
    if values.null_count < len(values) and not -INTEGER_BOUND <= span["min"] <= span["max"] < INTEGER_BOUND:
        raise _BadValueError("out_of_range")
    return values


_INTEGER = re.compile(r"([+-]?[0-9]+)(?:\.0*)?")


def _integer(value: str, _mapped: MappedField) -> int:
    # "12.0" is how pandas writes the integer 12 of a column that holds nulls.
    digits = _INTEGER.fullmatch(value.strip())
    if digits is None:
        raise _BadValueError("invalid_integer")
    number = int(digits[1]) if len(digits[1]) < len(str(INTEGER_BOUND)) + 2 else INTEGER_BOUND
    if not -INTEGER_BOUND <= number < INTEGER_BOUND:
        raise _BadValueError("out_of_range")
    return number


def _numbers(cells: pa.Array, _mapped: MappedField) -> pa.Array:
    values = cells.cast(pa.float64())
    if not _every(pc.is_finite(values)):
        raise _BadValueError("invalid_number")
    return values


# Python alone would take "1_000" and digits of other scripts as well.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def _number(value: str, _mapped: MappedField) -> float:
    number = float(value) if _NUMBER.fullmatch(value.strip()) else math.nan
    if not math.isfinite(number):
        raise _BadValueError("invalid_number")
    return number


def _dates(cells: pa.Array, _mapped: MappedField) -> pa.Array:
    days = cells.cast(pa.date32())
    _refuse_before(days, pa.scalar(date.min), "invalid_date")
    return days.cast(pa.string())


def _refuse_before(values: pa.Array, first: pa.Scalar, code: str) -> None:
    """Arrow knows a year 0, the calendar does not."""
    if pc.any(pc.less(values, first)).as_py():
        raise _BadValueError(code)


def _date(value: str, _mapped: MappedField) -> str:
    return _moment(value, "invalid_date").date().isoformat()


def _datetimes(cells: pa.Array, _mapped: MappedField) -> pa.Array:
    # Cells without an offset are UTC. Arrow refuses a mixture, which then goes cell by cell.
    moments = cells.cast(pa.timestamp("us"))
    _refuse_before(moments, pa.scalar(datetime.min, pa.timestamp("us")), "invalid_datetime")  # noqa: DTZ901 # in UTC
    seconds = pc.floor_temporal(moments, unit="second").cast(pa.timestamp("s"))
    text = pc.binary_replace_slice(seconds.cast(pa.string()), 10, 11, "T")
    return pc.binary_join_element_wise(text, "Z", "")


def _datetime(value: str, _mapped: MappedField) -> str:
    moment = _moment(value, "invalid_datetime")
    if moment.tzinfo is not None:
        try:
            moment = moment.astimezone(UTC)
        except OverflowError:
            raise _BadValueError("invalid_datetime") from None
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(len("2026-01-01T00:00:00Z"), "0")


def _moment(value: str, code: str) -> datetime:
    # Snowflake's default text of a TIMESTAMP_TZ has a blank before the offset, which ISO 8601 has not.
    text = re.sub(r" (?=[+-][0-9]{2}:?[0-9]{2}$)", "", value.strip())
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise _BadValueError(code) from None


_CASTS: Final[dict[str, tuple[Callable[[pa.Array, MappedField], pa.Array], Callable[[str, MappedField], Any]]]] = {
    "boolean": (_booleans, _boolean),
    "integer": (_integers, _integer),
    "score": (_integers, _integer),
    "float": (_numbers, _number),
    "currency": (_numbers, _number),
    "percent": (_numbers, _number),
    "date": (_dates, _date),
    "datetime": (_datetimes, _datetime),
}

EXPECTED: Final = {
    "not_utf8": "text in UTF-8",
    "nul_byte": "text without NUL bytes",
    "not_ascii": "an e-mail address in ASCII, the only kind Marketo takes",
    "too_long": "a value within the field's length",
    "invalid_boolean": "true or false (also yes/no, t/f, 1/0)",
    "invalid_integer": "a whole number",
    "out_of_range": "a whole number between -2147483648 and 2147483647",
    "invalid_number": "a number",
    "invalid_date": "a date as YYYY-MM-DD",
    "invalid_datetime": "a date and time in ISO 8601; without an offset it is taken as UTC",
}
"""What each code of a rejected cell would have wanted, for the reason in the ledger."""
