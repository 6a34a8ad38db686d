"""Cells of a column as values of a field's type.

Guards against: values that change on their way (truncated, guessed, shifted by an offset), a bad cell that takes its
neighbours with it, and a cell that means one thing beside good cells and another beside bad ones.
"""

import math
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketo_assets.marketo.leads import LeadField
from marketo_assets.pump.mapping import MappedField
from marketo_assets.pump.values import CLEAR, EXPECTED, cast_column


def mapped(
    data_type: str, *, length: int | None = None, when_null: Any = "omit", when_too_long: Any = "reject"
) -> MappedField:
    return MappedField(
        "column", LeadField("field", "Field", data_type, length, read_only=False), when_null, when_too_long
    )


def cast(field: MappedField, *cells: str | bytes | None) -> list[Any]:
    """Values in order; a fault stands there as `!code`."""
    raw = pa.array([cell.encode() if isinstance(cell, str) else cell for cell in cells], pa.binary())
    column = cast_column(raw, field)
    return [f"!{column.errors[at]}" if at in column.errors else value for at, value in enumerate(column.values)]


GOOD: dict[str, dict[str, Any]] = {
    "integer": {"0": 0, "-0": 0, "007": 7, "+5": 5, " 5 ": 5, "12.0": 12, "12.": 12, "-2147483648": -(2**31)},
    "score": {"3": 3},
    "float": {"0": 0.0, "1.5": 1.5, "+1.5": 1.5, " .5 ": 0.5, "1e3": 1000.0, "-2E-3": -0.002, "12.": 12.0},
    "currency": {"19.99": 19.99},
    "percent": {"50": 50.0},
    "boolean": {"true": True, "TRUE": True, "t": True, "Yes": True, "1": True, " y ": True, "0": False, "False": False},
    "date": {
        "2024-02-29": "2024-02-29",
        "9999-12-31": "9999-12-31",
        "0001-01-01": "0001-01-01",
        " 2024-01-01 ": "2024-01-01",
        "2024-01-01 00:00:00": "2024-01-01",
    },
    "datetime": {
        "2024-02-29 12:00:00": "2024-02-29T12:00:00Z",
        "2024-02-29T12:00:00Z": "2024-02-29T12:00:00Z",
        "2024-01-01": "2024-01-01T00:00:00Z",
        "2024-01-01T00:00:00+05:30": "2023-12-31T18:30:00Z",
        "2024-01-01 00:00:00.000 -0800": "2024-01-01T08:00:00Z",
        "2024-01-01 00:00:00.123456789 +0530": "2023-12-31T18:30:00Z",
        "2024-02-29T12:00:00.999999999": "2024-02-29T12:00:00Z",
        "1969-12-31 23:59:59.5": "1969-12-31T23:59:59Z",
        "9999-12-31 23:59:59": "9999-12-31T23:59:59Z",
        "0999-01-01 00:00:00": "0999-01-01T00:00:00Z",
    },
    "string": {"null": "null", "NULL": "NULL", "0": "0", "=1+1": "=1+1", "  x ": "  x ", "naïve 🎉": "naïve 🎉"},
    "phone": {"+1 (555) 0100": "+1 (555) 0100"},
}

BAD: dict[str, dict[str, list[str | bytes]]] = {
    "integer": {
        "invalid_integer": ["1.5", "1e3", "0x10", "0X1F", "1_000", "1,000", "\u0663", "five", "null", " ", "--1"],
        "out_of_range": ["2147483648", "-2147483649", "99999999999999999999999"],
    },
    "float": {"invalid_number": ["nan", "inf", "-Infinity", "1e999", "1_000", "\u0663.5", "0x1p3", "1,5", "null", " "]},
    "boolean": {"invalid_boolean": ["2", "on", "ja", "null", " ", "truee"]},
    "date": {"invalid_date": ["2023-02-29", "0000-01-01", "10000-01-01", "01/02/2024", "2024-1-1", "null", "20240199"]},
    "datetime": {
        "invalid_datetime": [
            "2023-02-29 00:00:00",
            "0000-01-01 00:00:00",
            "2024-01-01 25:00:00",
            "yesterday",
            "1714521600",
            "9999-12-31T23:59:59-08:00",
            "2024-01-01 00:00:00 UTC",
        ],
    },
    "string": {"not_utf8": [b"m\xfcller"], "nul_byte": ["x\0y", "\0"]},
    "email": {"not_ascii": ["müller@example.com"]},
}


@pytest.mark.parametrize(
    ("data_type", "text", "value"),
    [(data_type, text, value) for data_type, cases in GOOD.items() for text, value in cases.items()],
)
def test_a_good_cell_is_what_it_says_alone_and_beside_a_bad_one(data_type: str, text: str, value: Any) -> None:
    field = mapped(data_type)
    assert cast(field, text) == [value]
    assert cast(field, text, b"\xff", None) == [value, "!not_utf8", None]
    assert type(cast(field, text)[0]) is type(value)


@pytest.mark.parametrize(
    ("data_type", "code", "text"),
    [(data_type, code, text) for data_type, cases in BAD.items() for code, texts in cases.items() for text in texts],
)
def test_a_bad_cell_is_named_by_code_alone_and_beside_a_good_one(data_type: str, code: str, text: str | bytes) -> None:
    good = next(iter(GOOD.get(data_type, {"x@example.com": "x@example.com"})))
    assert cast(mapped(data_type), text) == [f"!{code}"]
    assert cast(mapped(data_type), good, text)[1] == f"!{code}"
    assert code in EXPECTED


@pytest.mark.parametrize("data_type", GOOD)
def test_null_leaves_empty_clears_and_when_null_clear_clears_both(data_type: str) -> None:
    assert cast(mapped(data_type), None, "") == [None, CLEAR]
    assert cast(mapped(data_type, when_null="clear"), None, "") == [CLEAR, CLEAR]
    assert cast(mapped(data_type), None, None) == [None, None]
    assert cast(mapped(data_type)) == []


def test_empty_and_null_keep_their_meaning_beside_a_bad_cell() -> None:
    field = mapped("integer", when_null="clear")
    assert cast(field, "x", None, "", "5") == ["!invalid_integer", CLEAR, CLEAR, 5]
    assert cast(mapped("integer"), "x", None, "", "5") == ["!invalid_integer", None, CLEAR, 5]


def test_length_is_in_characters_for_strings_and_in_bytes_for_text() -> None:
    assert cast(mapped("string", length=3), "üüü", "üüüü") == ["üüü", "!too_long"]
    assert cast(mapped("text", length=6), "üüü", "üüüü") == ["üüü", "!too_long"]
    assert cast(mapped("text"), "x" * 30_000, "x" * 30_001) == ["x" * 30_000, "!too_long"]
    assert cast(mapped("string"), "x" * 100_000) == ["x" * 100_000]
    assert cast(mapped("email", length=5), "a@b.c", "aa@b.c") == ["a@b.c", "!too_long"]


def test_truncating_never_cuts_a_character_in_two() -> None:
    assert cast(mapped("string", length=3, when_too_long="truncate"), "üüüü", "ab") == ["üüü", "ab"]
    assert cast(mapped("text", length=5, when_too_long="truncate"), "üüüü", "🎉🎉") == ["üü", "🎉"]


def test_a_field_of_10_mb_is_too_long_and_its_neighbours_are_not() -> None:
    assert cast(mapped("string", length=255), "x", "y" * 10_000_000, "z") == ["x", "!too_long", "z"]


def test_a_column_with_and_without_offsets_is_read_cell_by_cell() -> None:
    assert cast(mapped("datetime"), "2024-01-01 00:00:00", "2024-01-01T00:00:00+01:00", None, "x") == [
        "2024-01-01T00:00:00Z",
        "2023-12-31T23:00:00Z",
        None,
        "!invalid_datetime",
    ]


WORDS = st.text(st.sampled_from("0123456789+-.:eExXTZ_ ,tfyn\u0663"), min_size=1, max_size=12)
MOMENTS = st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31)).map(str)  # noqa: DTZ001 - as text
NUMBERS = st.integers(-(2**33), 2**33).map(str) | st.floats().map(str)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(data_type=st.sampled_from(list(GOOD)), text=WORDS | MOMENTS | NUMBERS)
def test_a_cell_means_the_same_whatever_stands_beside_it(data_type: str, text: str) -> None:
    field = mapped(data_type, length=8 if data_type == "string" else None)
    # Bytes that are no UTF-8 beside it make the column be read cell by cell.
    assert cast(field, text, b"\xff")[0] == cast(field, text)[0]


@settings(max_examples=100, derandomize=True, deadline=None)
@given(number=st.floats(allow_nan=False, allow_infinity=False), moment=st.datetimes(min_value=datetime(1000, 1, 1)))  # noqa: DTZ001 - no offset is meant
def test_numbers_and_times_written_by_python_are_read_back(number: float, moment: datetime) -> None:
    assert math.isclose(cast(mapped("float"), repr(number))[0], number, rel_tol=0, abs_tol=0)
    expected = moment.replace(microsecond=0, tzinfo=UTC).isoformat().replace("+00:00", "Z")
    assert cast(mapped("datetime"), str(moment), f"{moment}+00:00") == [expected, expected]
