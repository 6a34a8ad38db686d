"""Bulk files as rows, byte for byte.

Guards against: values changed by line breaks, NUL bytes, quotes or U+2028, rows merged, split or dropped without a
word, JSON that Snowflake refuses, a row that differs by the route it came, and messages that quote what a row holds.
"""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketo_assets.extract import csv_file
from marketo_assets.extract.csv_file import ActivityFileError, read_activities
from marketo_assets.extract.csv_record import PLAIN, Layout
from marketo_assets.extract.rows import from_rest
from marketo_assets_tests.extract.bulk_files import (
    COLUMNS,
    GUID,
    MOMENT,
    WHEN,
    Activity,
    activity,
    compact_json,
    file_of,
    line,
    lone,
    quoted,
    raw_json,
    read,
    records,
)

SPECIAL = [
    "NUL \0 inside",
    "two\nlines",
    "\n",
    "carriage\rreturn\r\n",
    "separator \u2028 and \u2029 inside",
    'say "hi", ok',
    '"',
    '"quoted"',
    '5" disk',
    "a,b",
    " padded ",
    "größer 日本語 😀",
    "back\\slash \\n \\",
    "tab\t \x01\x1f\x7f\x85",
    "null",
    "{}",
    '{"a": "b"}',
    "\ufeff",
    f"\n{GUID},7,{WHEN},1,null,null,x,{{}}\n",
]


def rest(*activities: Activity) -> list[dict[str, Any]]:
    return records(from_rest(activities))


def refusal(folder: Path, content: bytes, *, rows: int | None = None) -> str:
    with pytest.raises(ActivityFileError) as refused:
        read(folder, content, rows=rows)
    assert "ada" not in str(refused.value)
    return str(refused.value)


def test_a_plain_file_becomes_the_rows_that_rest_gives(tmp_path: Path) -> None:
    activities = [
        activity("page", {"Client IP Address": "10.0.0.1", "Count": 3, "Share": 1.5, "Success": True}, campaignId=77),
        activity(None, {}, primaryAttributeValueId=2**63 - 1, leadId=2**31),
        activity("a,b", {"N": None}, activityDate="2026-01-16T23:32:19.123+0000"),
    ]
    found = records(read(tmp_path, file_of(map(line, activities)), rows=3))
    assert found == rest(*activities)
    assert found[0]["activity_date"] == MOMENT


@pytest.mark.parametrize("to_json", [compact_json, json.dumps, raw_json], ids=["compact", "ascii", "raw"])
@pytest.mark.parametrize("special", SPECIAL)
def test_values_come_through_byte_for_byte_on_both_routes(
    tmp_path: Path, special: str, to_json: Callable[[Any], str]
) -> None:
    activities = [
        activity("before"),
        activity(f"x{special}", {"Value": special, special: "name"}),
        activity("after", {"Value": "x"}),
    ]
    content = file_of(line(each, to_json=to_json) for each in activities)
    assert records(read(tmp_path, content, rows=3)) == rest(*activities)


@pytest.mark.parametrize("special", [each for each in SPECIAL if '"' in each])
def test_quotes_that_are_not_doubled_are_part_of_the_value(tmp_path: Path, special: str) -> None:
    activities = [activity("before"), activity(f"x{special}y", {"Value": special}), activity("after", {"Value": "x"})]
    content = file_of(line(each, quote=lone) for each in activities)
    assert records(read(tmp_path, content, rows=3)) == rest(*activities)


def test_rows_whose_open_quotes_pair_up_are_not_merged(tmp_path: Path) -> None:
    activities = [activity('5"'), activity("between"), activity('"x'), activity("after")]
    assert records(read(tmp_path, file_of(line(each, quote=lone) for each in activities))) == rest(*activities)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ('"{""a"":""say \\"hi\\" ok""}"', {"a": 'say "hi" ok'}),
        ('"{""a"":""5\\""",""b"":""\\"x""}"', {"a": '5"', "b": '"x'}),
        ('"{""a"":""say "hi" ok""}"', {"a": 'say "hi" ok'}),
        ('"{""a"":""5""",""b"":"""x""}"', {"a": '5"', "b": '"x'}),
        ('"{"a":"","b":"x, y"}"', {"a": "", "b": "x, y"}),
        ('{"a":"x, y","b":{"c":[1,{}]}}', {"a": "x, y", "b": {"c": [1, {}]}}),
    ],
    ids=["quotes of JSON", "at both ends", "not even escaped", "the same at both ends", "none doubled", "not quoted"],
)
def test_attributes_whose_quotes_are_not_doubled_are_read_by_their_braces(
    tmp_path: Path, attributes: str, expected: dict[str, Any]
) -> None:
    content = file_of([f'{GUID},7,{WHEN},1,null,null,"a ""b"", c",{attributes}', line(activity("after"))])
    first, second = records(read(tmp_path, content, rows=2))
    assert (first["primary_attribute_value"], first["attributes"]) == ('a "b", c', expected)
    assert second == rest(activity("after"))[0]


@pytest.mark.parametrize("attributes", ["{}", '"{}"', "null", "", "[]", '"{ }"'])
def test_no_attributes_are_an_empty_object(tmp_path: Path, attributes: str) -> None:
    content = file_of([f"{GUID},7,{WHEN},1,,null,x,{attributes}", f'{GUID},7,{WHEN},1,,null,"x",{attributes}'])
    assert records(read(tmp_path, content)) == rest(activity("x"), activity("x"))


def test_attributes_as_the_array_of_rest_are_the_same_object(tmp_path: Path) -> None:
    pairs = [{"name": "Source", "value": "Web page, visit"}, {"name": "Count", "value": 1}]
    content = file_of([f"{GUID},7,{WHEN},1,null,null,x,{quoted(compact_json(pairs))}"])
    assert records(read(tmp_path, content)) == rest(activity("x", {"Source": "Web page, visit", "Count": 1}))


def test_valid_json_is_left_as_it_is_written(tmp_path: Path) -> None:
    texts = [
        '{"a": 1.50, "b": 12345678901234567890123, "c": "\\u00e4\\/\\u0000"}',
        '{"a":{"b":[1, 2]}}',
        '{"a":"\\ud83d\\ude00"}',
    ]
    content = file_of(f"{GUID},7,{WHEN},1,null,null,x,{quoted(text)}" for text in texts)
    assert read(tmp_path, content)["attributes"].to_pylist() == texts


def test_half_a_surrogate_pair_becomes_the_replacement_character(tmp_path: Path) -> None:
    content = file_of([f"{GUID},7,{WHEN},1,null,null,x," + quoted('{"a":"cut \\ud83d","b":1}')])
    assert records(read(tmp_path, content))[0]["attributes"] == {"a": "cut \ufffd", "b": 1}


def test_null_is_an_empty_value_and_a_quoted_null_is_text(tmp_path: Path) -> None:
    content = file_of([f"{GUID},7,{WHEN},1,null,null,{value},{{}}" for value in ("null", '"null"', "", '""', "Null")])
    assert read(tmp_path, content)["primary_attribute_value"].to_pylist() == [None, "null", None, None, "Null"]


@pytest.mark.parametrize("columns", [COLUMNS[::-1], ("actionResult", *COLUMNS[2:], "extra", *COLUMNS[:2])])
def test_columns_are_found_by_their_names(tmp_path: Path, columns: tuple[str, ...]) -> None:
    activities = [activity("two\nlines", {"Value": special}) | {"extra": "null"} for special in SPECIAL]
    content = file_of((line(each, columns=columns) for each in activities), columns=columns)
    assert records(read(tmp_path, content, rows=len(SPECIAL))) == rest(*activities)


def test_the_header_may_have_blanks_quotes_and_a_byte_order_mark(tmp_path: Path) -> None:
    header = ", ".join(COLUMNS[:4]) + "," + ",".join(f'"{name}"' for name in COLUMNS[4:])
    content = f"\ufeff{header}\r\n{line(activity('x'))}\r\n".encode()
    assert records(read(tmp_path, content)) == rest(activity("x"))


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "\n", "\r\n", "\n\n"])
def test_line_ends_and_blank_lines_are_no_part_of_a_row(tmp_path: Path, newline: str, last: str) -> None:
    activities = [activity("a"), activity("two\nlines"), activity('b"c', {"V": "\r\n"}), activity("d", {"V": "x"})]
    content = file_of([*(line(each, quote=lone) for each in activities[:2]), ""], newline=newline)
    content += file_of([line(each, quote=lone) for each in activities[2:]], columns=(), newline=newline)
    content = content.strip() + last.encode()
    assert records(read(tmp_path, content, rows=4)) == rest(*activities)


@pytest.mark.parametrize("content", [b"", b"\n", file_of([]), file_of([]).strip()])
def test_a_job_without_rows_has_none(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path, content, rows=0).num_rows == 0


@pytest.mark.parametrize(
    "date",
    ["2026-01-16T23:32:19Z", "2026-01-16T23:32:19+0000", "2026-01-16T23:32:19+00:00", "2026-01-16T17:32:19-0600",
     "2026-01-16T23:32:19.000Z", "2026-01-16T23:32:19.0000000001Z", "2026-01-16 23:32:19", "2026-01-17T05:02:19+05:30"],
)  # fmt: skip
def test_times_are_in_utc(tmp_path: Path, date: str) -> None:
    content = file_of([line(activity("x")), line(activity("x", activityDate=date))])
    assert read(tmp_path, content)["activity_date"].to_pylist() == [MOMENT, MOMENT]


def test_a_leap_second_stays_within_its_day(tmp_path: Path) -> None:
    content = file_of([line(activity("x", activityDate="2016-12-31T23:59:60Z"))])
    assert [each.isoformat() for each in read(tmp_path, content)["activity_date"].to_pylist()] == [
        "2016-12-31T23:59:59"
    ]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("null,7,{WHEN},1,null,null,ada,{}", "marketoGUID is missing or cannot be read"),
        ("{GUID},ada,{WHEN},1,null,null,ada,{}", "leadId is missing or cannot be read"),
        ("{GUID},9223372036854775808,{WHEN},1,null,null,ada,{}", "leadId is missing or cannot be read"),
        ("{GUID},7,2026-02-29T00:00:00Z,1,null,null,ada,{}", "activityDate is missing or cannot be read"),
        ("{GUID},7,ada,1,null,null,ada,{}", "activityDate is missing or cannot be read"),
        ("{GUID},7,{WHEN},null,null,null,ada,{}", "activityTypeId is missing or cannot be read"),
        ("{GUID},7,{WHEN},1,1.5,null,ada,{}", "campaignId is missing or cannot be read"),
        ("{GUID},7,{WHEN},1,null,null,\udcff,{}", "primaryAttributeValue is missing or cannot be read"),
        ("{GUID},7,{WHEN},1,null,null,ada,ada", "attributes is missing or cannot be read"),
        ('{GUID},7,{WHEN},1,null,null,ada,"{""ada"":NaN}"', "attributes is missing or cannot be read"),
        ('{GUID},7,{WHEN},1,null,null,ada,"{""ada"":""C:\\Users""}"', "attributes is missing or cannot be read"),
        ('{GUID},7,{WHEN},1,null,null,ada,"[""ada""]"', "attributes is missing or cannot be read"),
        ("{GUID},7,{WHEN},1,null,null,ada", "its quotes do not show where its columns begin and end"),
        ("{GUID},7,{WHEN},1,null,null,ada,{},ada", "its quotes do not show where its columns begin and end"),
        ('{GUID},7,{WHEN},1,null,null,"ada,{', "its quotes do not show where its columns begin and end"),
        ("ada", "its quotes do not show where its columns begin and end"),
    ],
)
@pytest.mark.parametrize("following", [0, 2])
def test_a_row_that_cannot_be_read_is_named(tmp_path: Path, row: str, said: str, following: int) -> None:
    bad = row.replace("{GUID}", GUID).replace("{WHEN}", WHEN)
    lines = [line(activity("x")), line(activity("two\nlines")), bad, *[line(activity("y", {"V": "w"}))] * following]
    content = "\n".join([",".join(COLUMNS), *lines, ""]).encode(errors="surrogateescape")
    assert refusal(tmp_path, content) == f"row 3: {said}"


def test_more_or_fewer_rows_than_the_job_said_are_an_error(tmp_path: Path) -> None:
    content = file_of([line(activity("x"))] * 2)
    assert refusal(tmp_path, content, rows=3) == "the file holds 2 rows, its job said 3"
    assert refusal(tmp_path, content, rows=1) == "the file holds 2 rows, its job said 1"
    assert refusal(tmp_path, b"", rows=1) == "the file holds 0 rows, its job said 1"


def test_a_column_that_is_missing_or_there_twice_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path, b"marketoGUID,leadId,ada,leadId\n").startswith(
        "the header does not name leadId, activityDate, activityTypeId,"
    )
    assert refusal(tmp_path, b'{"requestId":"1#2","success":false,"errors":[]}').startswith("the header does not name")


def numbered(number: int) -> Activity:
    """Rows of all sorts; what they hold tells their number."""
    value = [f"plain {number}", f"two\nlines {number}", f'a "{number}" quote', f"NUL \0 {number}"][number % 4]
    return activity(value, {"N": number, "Text": value * (number % 40)}, marketoGUID=str(number))


@pytest.mark.parametrize("block", [1 << 7, 1 << 10, 1 << 14])
def test_rows_that_lie_across_blocks_are_whole(tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", block)
    activities = [numbered(number) for number in range(150)]
    content = file_of(line(each, to_json=raw_json, quote=lone) for each in activities)
    assert records(read(tmp_path, content, rows=150)) == rest(*activities)
    bad = content + b"ada\n" + content[content.index(b"\n") + 1 :]
    assert refusal(tmp_path, bad).startswith("row 151: ")


def test_a_large_file_comes_in_tables_of_bounded_size(tmp_path: Path) -> None:
    lines = [line(activity("x", {"Text": "x" * 300}, marketoGUID=str(number))) for number in range(60_000)]
    path = tmp_path / "export.csv"
    path.write_bytes(file_of(lines))
    tables = list(read_activities(path, rows=60_000))
    assert [guid for table in tables for guid in table["marketo_guid"].to_pylist()] == [*map(str, range(60_000))]
    assert len(tables) > 1
    assert all(table.nbytes <= csv_file.TABLE_BYTES + csv_file.BLOCK_BYTES for table in tables)


def test_a_row_of_many_megabytes_is_read_and_a_longer_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    activities = [activity("x"), activity('lone " quote\n' + "x" * 9_000_000, {"V": 1}), activity("y")]
    content = file_of(line(each, quote=lone) for each in activities)
    assert records(read(tmp_path, content, rows=3)) == rest(*activities)
    unclosed = file_of([line(activity("x")), f'{GUID},7,{WHEN},1,null,null,"ada' + "ada\n" * 3_000_000])
    monkeypatch.setattr(csv_file, "LONGEST_RECORD_BYTES", 1 << 20)
    assert refusal(tmp_path, unclosed) == "row 2: longer than 1 MiB"


TEXT = (
    st.text(st.characters(codec="utf-8"), max_size=12)
    | st.sampled_from(SPECIAL)
    | st.text('",{}[]:\\\n\ra', max_size=9)
)
NUMBER = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
SCALAR = TEXT | NUMBER | st.booleans() | st.none()
ACTIVITIES = st.lists(
    st.builds(
        activity,
        st.none() | TEXT,
        st.dictionaries(
            TEXT, SCALAR | st.lists(SCALAR, max_size=2) | st.dictionaries(TEXT, SCALAR, max_size=2), max_size=4
        ),
        leadId=st.integers(0, 2**63 - 1),
        campaignId=st.none() | st.integers(0, 2**63 - 1),
        primaryAttributeValueId=st.none() | st.integers(-1, 2**40),
    ),
    max_size=6,
)
ANY_INPUT = settings(
    max_examples=150, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def as_the_file_tells(activity: Activity) -> Activity:
    """Without a primary value that reads "null": the file cannot tell it from no value."""
    return {**activity, "primaryAttributeValue": None} if activity.get("primaryAttributeValue") == "null" else activity


@ANY_INPUT
@given(ACTIVITIES, st.sampled_from([compact_json, json.dumps, raw_json]))
def test_any_activities_written_by_marketo_are_the_same_by_both_routes(
    tmp_path: Path, activities: list[Activity], to_json: Callable[[Any], str]
) -> None:
    content = file_of(line(each, to_json=to_json) for each in activities)
    found = records(read(tmp_path, content, rows=len(activities)))
    assert found == rest(*map(as_the_file_tells, activities))


LONE = st.text('", \na:', max_size=12).filter(lambda text: '""' not in text and text.strip())


@ANY_INPUT
@given(st.lists(st.builds(activity, LONE, st.just({}) | st.dictionaries(TEXT, TEXT, max_size=2)), max_size=6))
def test_any_values_whose_quotes_are_not_doubled_come_through(tmp_path: Path, activities: list[Activity]) -> None:
    content = file_of(line(each, quote=lone) for each in activities)
    assert records(read(tmp_path, content, rows=len(activities))) == rest(*activities)


@ANY_INPUT
@given(st.lists(st.text('",\n{}[]:a1\\ ', max_size=30), max_size=3))
def test_whatever_is_read_holds_as_many_rows_as_said_and_valid_json(tmp_path: Path, rows: list[str]) -> None:
    prefix = f"{GUID},7,{WHEN},1,null,null,"
    content = file_of(f"{prefix}{row}" for row in rows)
    try:
        found = read(tmp_path, content, rows=len(rows))
    except ActivityFileError:
        return
    assert all(isinstance(orjson.loads(text), dict) for text in found["attributes"].to_pylist())


PLAIN_LINE = re.compile(Layout(COLUMNS).plain_line.replace(PLAIN["moment"], re.escape(WHEN)))


@ANY_INPUT
@given(st.lists(st.from_regex(PLAIN_LINE, fullmatch=True, alphabet=st.characters(codec="utf-8")), max_size=3))
def test_lines_that_are_read_in_bulk_mean_the_same_to_other_readers(tmp_path: Path, lines: list[str]) -> None:
    found = records(read(tmp_path, file_of([]) + "".join(lines).encode(), rows=len(lines)))
    for row, cells in zip(found, csv.reader(io.StringIO("".join(lines), newline=""), strict=True), strict=True):
        assert [row["marketo_guid"], str(row["lead_id"])] == [cells[0], str(int(cells[1]))]
        assert row["primary_attribute_value"] == (None if cells[6] in {"", "null"} else cells[6])
        assert row["attributes"] == json.loads(cells[7])
