"""What a value sent for a lead field becomes, or why it is refused: types, lengths, ASCII.

Nothing of rows or leads belongs here. Accepted spellings beyond JSON's own types are a choice (docs/emulator.md).
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

from marketo_assets.sandbox.marketo.wire import RowProblem

TEXT_BYTES = 30_000
"""A text field holds so many bytes of UTF-8."""
_EMAIL = re.compile(r"[!-?A-~]+@[!-?A-~]+\.[!-?A-~]+", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,10}", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DATETIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*", re.ASCII)
_INT32 = 2**31
_BOOLEANS: Mapping[Any, bool] = {"true": True, "false": False, "1": True, "0": False, 1: True, 0: False}


class BadValueError(Exception):
    """A value the field cannot hold."""

    def __init__(self, problem: RowProblem) -> None:
        """`problem` goes into the row's reasons."""
        super().__init__(problem.code)
        self.problem = problem


def folded(text: str) -> str:
    """A text as it is compared with others, in any case: of ASCII letters, as SQLite's lower() has it too."""
    return text.encode().lower().decode()


def make_reader(name: str, data_type: str, length: int | None) -> Callable[[Any], Any]:
    """A function from a sent value to the value to keep, for one field.

    None and "" clear a field; a cleared boolean is false. It raises BadValueError with 1003 or 1001.
    """
    read: Callable[[Any, int | None], Any] = _READERS.get(data_type, _read_string)
    is_plain: Callable[[Any], bool] = _PLAIN.get(data_type, _never)
    empty = False if data_type == "boolean" else None

    def read_value(value: Any) -> Any:
        if is_plain(value):
            return value
        if value is None or value == "":
            return empty
        if value.__class__ is dict or value.__class__ is list:
            raise BadValueError(RowProblem("1001", f"Invalid value for field '{name}'. Required of type '{data_type}'"))
        try:
            return read(value, length)
        except (ValueError, OverflowError):
            wire = str(value).lower() if isinstance(value, bool) else str(value)
            problem = RowProblem("1003", f"Invalid value for field '{name}' and value '{wire}'")
            raise BadValueError(problem) from None

    return read_value


def _never(_value: Any) -> bool:
    return False


def _is_plain_integer(value: Any) -> bool:
    return value.__class__ is int and -_INT32 <= value < _INT32


def _is_plain_text(value: Any) -> bool:
    return value.__class__ is str and 0 < len(value) <= TEXT_BYTES // 4


def _is_plain_date(value: Any) -> bool:
    return value.__class__ is str and _is_date(value)


@lru_cache(maxsize=50_000)
def _is_date(text: str) -> bool:
    if not _DATE.fullmatch(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _is_plain_datetime(value: Any) -> bool:
    """Whether it is written as Marketo itself writes datetimes: the common case, and then there is nothing to do."""
    try:
        return (
            value.__class__ is str
            and len(value) == len("2024-01-31T23:59:59Z")
            and value[19] == "Z"
            and value[10] == "T"
            and value[13] == ":"
            and value[7] == "-"
            and bool(datetime.fromisoformat(value))
        )
    except ValueError:
        return False


def _read_string(value: Any, length: int | None) -> str:
    text = _as_text(value)
    if length is not None and len(text) > length:
        raise ValueError
    return text


def _read_text(value: Any, _length: int | None) -> str:
    text = _as_text(value)
    if len(text.encode("utf-8", "surrogatepass")) > TEXT_BYTES:
        raise ValueError
    return text


def _read_email(value: Any, length: int | None) -> str:
    text = _read_string(value, length)
    if not _EMAIL.fullmatch(text):
        raise ValueError
    return text


def _read_boolean(value: Any, _length: int | None) -> bool:
    key = value.lower() if isinstance(value, str) else value
    if key not in _BOOLEANS:
        raise ValueError
    return _BOOLEANS[key]


def _read_integer(value: Any, _length: int | None) -> int:
    if isinstance(value, bool):
        raise ValueError  # noqa: TRY004 - every refusal here is the same 1003
    if isinstance(value, float):
        if not value.is_integer():
            raise ValueError
        number = int(value)
    elif isinstance(value, int):
        number = value
    elif _INTEGER.fullmatch(value):
        number = int(value)
    else:
        raise ValueError
    if not -_INT32 <= number < _INT32:
        raise ValueError
    return number


def _read_float(value: Any, _length: int | None) -> float:
    if isinstance(value, bool):
        raise ValueError  # noqa: TRY004 - every refusal here is the same 1003
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _read_date(_value: Any, _length: int | None) -> str:
    raise ValueError  # every good date is plain


def _read_datetime(value: Any, _length: int | None) -> str:
    if not isinstance(value, str) or not _DATETIME.fullmatch(value):
        raise ValueError
    moment = datetime.fromisoformat(value)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


_READERS: Mapping[str, Callable[[Any, int | None], Any]] = {
    "text": _read_text,
    "email": _read_email,
    "boolean": _read_boolean,
    "integer": _read_integer,
    "score": _read_integer,
    "percent": _read_integer,
    "reference": _read_integer,
    "float": _read_float,
    "currency": _read_float,
    "date": _read_date,
    "datetime": _read_datetime,
}

_PLAIN: Mapping[str, Callable[[Any], bool]] = {
    "text": _is_plain_text,
    "integer": _is_plain_integer,
    "score": _is_plain_integer,
    "percent": _is_plain_integer,
    "date": _is_plain_date,
    "datetime": _is_plain_datetime,
}
"""Short cuts: whether a value is good as it is, by type."""
