"""What is ordered for a reconciliation, and the file of leads that comes.

Guards against: a value read into the wrong column, a record lost or made up where quotes and line breaks mislead, a
file believed that is not the one ordered, memory that grows with the file, and windows that Marketo refuses.
"""

import tracemalloc
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketo_assets.marketo.bulk_extract import lead_export_body
from marketo_assets.sync.lead_export import all_leads, windows_until
from marketo_assets.sync.lead_file import LeadFileError, columns_for, read_leads
from marketo_assets_tests.extract.bulk_files import lone, quoted

COLUMNS = columns_for(["name", "note"])
HEADER = ",".join(COLUMNS)
CREATED = "2026-01-02T03:04:05Z"
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)

Lead = tuple[int, dict[str, str | None] | None]


def read(folder: Path, content: str | bytes, rows: int | None = None) -> list[Lead]:
    path = folder / "leads.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return [(lead.lead_id, lead.values) for lead in read_leads(path, COLUMNS, rows=rows)]


def file_of(names: Sequence[str], quote: Callable[[str], str] = quoted) -> str:
    """A file of leads with these names, ids from 1."""
    rows = [f"{number},{quote(name) or 'null'},null,{CREATED}" for number, name in enumerate(names, start=1)]
    return "\n".join([HEADER, *rows, ""])


def lead(number: int, name: str | None, note: str | None = None) -> Lead:
    return number, {"id": str(number), "name": name, "note": note, "createdAt": CREATED}


def test_id_and_creation_frame_the_columns_whatever_is_asked_for() -> None:
    assert columns_for(["createdAt", "email", "id", "title"]) == ("id", "email", "title", "createdAt")


@pytest.mark.parametrize(
    "name",
    [
        "Ada",
        "a,b",
        'one " quote',
        '"',
        '""',
        "two\nlines",
        "1,2\n3,4",
        "carriage\rreturn",
        "\r\n",
        "a\x00b",
        "\u2028\x85",
    ],
)
def test_a_value_comes_as_it_is(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, file_of([name, "Bob"]), 2) == [lead(1, name), lead(2, "Bob")]


def test_null_and_nothing_are_no_value(tmp_path: Path) -> None:
    content = f'{HEADER}\n1,null,"",{CREATED}\n2,,"null",{CREATED}\n'
    assert read(tmp_path, content) == [lead(1, None, ""), lead(2, None, "null")]


@pytest.mark.parametrize(
    ("content", "expected"),
    [("", []), (f"{HEADER}\n", []), (f"\ufeff{HEADER}\r\n1,Ada,null,{CREATED}\r\n", [lead(1, "Ada")])],
    ids=["nothing", "header", "byte order mark, CRLF"],
)
def test_how_a_file_may_begin_and_end(tmp_path: Path, content: str, expected: list[Lead]) -> None:
    assert read(tmp_path, content, len(expected)) == expected


@pytest.mark.parametrize(
    "record",
    [
        f'2,"a "b" c",null,{CREATED}',
        f'2,"never closed,null,{CREATED}',
        f"2,a,b,c,{CREATED}",
        f"2,two\nlines,null,{CREATED}",
        f"2,\udcff,null,{CREATED}",
    ],
    ids=["lone quotes", "open quote", "a column more", "bare line break", "no UTF-8"],
)
def test_a_record_that_is_not_certain_costs_no_other_and_is_not_guessed_at(tmp_path: Path, record: str) -> None:
    content = f"{HEADER}\n1,Ada,null,{CREATED}\n{record}\n3,Cy,null,{CREATED}\n"
    found = read(tmp_path, content.encode(errors="surrogateescape"), 3)
    assert found == [lead(1, "Ada"), (2, None), lead(3, "Cy")]


def test_a_record_cut_in_two_by_its_value_is_not_certain_and_no_reason_to_refuse_the_file(tmp_path: Path) -> None:
    content = file_of([f"x,{CREATED}\n7,y", "Bob"])
    assert read(tmp_path, content, 2) == [(1, None), (7, None), lead(2, "Bob")]


@pytest.mark.parametrize(
    ("content", "rows", "message"),
    [
        (f"id,note,name,createdAt\n1,a,b,{CREATED}\n", 1, "header"),
        (f"{HEADER}\nx,a,b,{CREATED}\n", 1, "row 1: it does not begin with the id"),
        (f"{HEADER}\n1,a,b,{CREATED}\n", 2, "holds 1 rows, its job said 2"),
        (f"{HEADER}\n1,a,b,{CREATED}\n2,a,b,{CREATED}\n", 1, "holds 2 rows, its job said 1"),
    ],
)
def test_a_file_that_is_not_the_one_ordered_is_refused(tmp_path: Path, content: str, rows: int, message: str) -> None:
    with pytest.raises(LeadFileError, match=message):
        read(tmp_path, content, rows)


TEXTS = st.lists(st.text(st.sampled_from('a1",\n\r \x00ü'), max_size=12), min_size=1, max_size=4)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS)
def test_any_value_comes_as_it_is_where_quotes_are_doubled(tmp_path: Path, names: list[str]) -> None:
    expected = [lead(number, name or None) for number, name in enumerate(names, start=1)]
    assert read(tmp_path, file_of(names), len(names)) == expected


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS.filter(lambda names: not any('""' in name for name in names)))  # a pair is one quote, doubled
def test_where_they_are_not_a_lead_comes_right_or_by_its_id(tmp_path: Path, names: list[str]) -> None:
    for found, name in zip(read(tmp_path, file_of(names, lone), len(names)), names, strict=True):
        assert found in (lead(found[0], name or None), (found[0], None))


def test_a_large_file_takes_no_more_memory_than_its_longest_record(tmp_path: Path) -> None:
    path = tmp_path / "leads.csv"
    path.write_text(file_of([f"name {number}" for number in range(20_000)]))
    tracemalloc.start()
    count = sum(1 for _ in read_leads(path, COLUMNS, rows=20_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (count, peak < 300_000) == (20_000, True)


def test_a_body_names_the_fields_and_the_time_of_creation() -> None:
    assert lead_export_body(NOW - timedelta(days=31), NOW, ("id", "email")) == {
        "format": "CSV",
        "fields": ["id", "email"],
        "filter": {"createdAt": {"startAt": "2026-01-30T12:00:00Z", "endAt": "2026-03-02T12:00:00Z"}},
    }


@pytest.mark.parametrize(
    ("start", "end", "fields"),
    [
        (NOW, NOW, ["id"]),
        (NOW - timedelta(days=31, seconds=1), NOW, ["id"]),
        (NOW - timedelta(days=1), NOW, []),
        (NOW - timedelta(days=1), NOW + timedelta(microseconds=1), ["id"]),
    ],
)
def test_a_body_that_marketo_would_refuse_is_refused_here(start: datetime, end: datetime, fields: list[str]) -> None:
    with pytest.raises(ValueError, match="export"):
        lead_export_body(start, end, fields)


@pytest.mark.parametrize(
    ("until", "last_end"),
    [(NOW, "2026-03-02T12:00:00Z"), (NOW.replace(hour=0), "2026-03-02T00:00:00Z")],
    ids=["noon", "midnight"],
)
def test_windows_reach_from_the_start_to_now_and_no_further(until: datetime, last_end: str) -> None:
    order = all_leads(COLUMNS, until)
    bodies = [order.body(window)["filter"]["createdAt"] for window in windows_until(date(2025, 12, 20), until)]
    assert [body["startAt"][:10] for body in bodies] == ["2025-12-20", "2026-01-20", "2026-02-20"]
    assert [body["endAt"] for body in bodies] == ["2026-01-20T00:00:00Z", "2026-02-20T00:00:00Z", last_end]


def test_jobs_of_other_fields_have_other_names() -> None:
    names = {all_leads(columns, NOW).name for columns in (COLUMNS, columns_for(["name"]))}
    assert len(names) == 2
    assert all(name.startswith("leads/") for name in names)
