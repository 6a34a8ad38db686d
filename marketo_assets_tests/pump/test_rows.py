"""A header's columns and a chunk's rows as JSON bodies for Marketo, or as rejected.

Guards against: columns matched by position, half-written rows, a lead sent under a wrong key, a message that quotes a
row, and calls larger than Marketo takes.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from marketo_assets.marketo.leads import LeadField
from marketo_assets.pump.mapping import LeadMapping, MappedField
from marketo_assets.pump.reader import CsvFile, FileRefusedError, chunks, scan, store
from marketo_assets.pump.rows import (
    MAX_BATCH_BYTES,
    HeaderMatch,
    PreparedRow,
    RowResult,
    batches,
    match_header,
    prepare,
    select,
    too_large,
)

FIELDS = (
    MappedField("Email_Address", LeadField("email", "Email", "email", 255, read_only=False), "omit", "reject"),
    MappedField("first_name", LeadField("firstName", "First", "string", 10, read_only=False), "omit", "reject"),
    MappedField("company", LeadField("company", "Company", "string", 10, read_only=False), "clear", "truncate"),
    MappedField("score", LeadField("leadScore", "Score", "integer", None, read_only=False), "omit", "reject"),
    MappedField("opted_in", LeadField("optIn", "Opt-in", "boolean", None, read_only=False), "omit", "reject"),
)
MAPPING = LeadMapping(FIELDS, FIELDS[0], "latest_updated")


def stored(folder: Path, content: bytes) -> tuple[CsvFile, HeaderMatch]:
    file = store(io.BytesIO(content), folder / "rows.csv", compressed=False)
    return file, match_header(file.header, MAPPING)


def prepared(folder: Path, content: bytes) -> tuple[dict[int, Any], list[RowResult]]:
    """Leads to send by row number, and the results of the other rows."""
    file, match = stored(folder, content)
    superseded = scan(file, match.key_column).superseded
    leads: dict[int, Any] = {}
    settled: list[RowResult] = []
    for chunk in chunks(file, [name for name, _ in match.columns]):
        to_send, done = prepare(chunk, match, MAPPING, superseded)
        leads |= {row.row_number: orjson.loads(row.body) for row in to_send}
        settled += done
    return leads, settled


def test_columns_are_matched_by_name_whatever_their_order_case_and_blanks() -> None:
    match = match_header(["SCORE", " opted_in", "extra", "email_address ", "Company", "extra"], MAPPING)
    assert {name: field.column for name, field in match.columns} == {
        "SCORE": "score",
        " opted_in": "opted_in",
        "email_address ": "Email_Address",
        "Company": "company",
    }
    assert match.key_column == "email_address "
    assert match.ignored == ("extra",)
    assert match.absent == ("first_name",)


@pytest.mark.parametrize("header", [(), ("ada@example.com", "Ada"), ("first_name", "company"), ("\0", "a;b;c")])
def test_a_file_without_the_key_column_is_refused_and_its_first_row_not_quoted(header: tuple[str, ...]) -> None:
    with pytest.raises(FileRefusedError) as refused:
        match_header(header, MAPPING)
    message = str(refused.value)
    assert message.startswith("the first row has no column 'Email_Address'")
    assert f"it has {len(header)} cells" in message
    assert "ada" not in message.lower()


@pytest.mark.parametrize("twin", ["email_address", " SCORE "])
def test_a_mapped_column_that_stands_twice_refuses_the_file(twin: str) -> None:
    with pytest.raises(FileRefusedError, match=f"'{twin.strip().lower()}' twice"):
        match_header(["email_address", "score", twin], MAPPING)


def test_rows_become_leads_with_null_empty_zero_and_false_told_apart(tmp_path: Path) -> None:
    leads, settled = prepared(
        tmp_path,
        b"email_address,first_name,company,score,opted_in\n"
        b" ada@x.com ,Ada,Byron & Co,0,false\n"
        b"bob@x.com,,,,\n"
        b'cy@x.com,"","","",""\n'
        b"dee@x.com,null,An over-long name,12.0,yes\n",
    )
    assert leads == {
        1: {"email": "ada@x.com", "firstName": "Ada", "company": "Byron & Co", "leadScore": 0, "optIn": False},
        2: {"email": "bob@x.com", "company": None},
        3: {"email": "cy@x.com", "firstName": None, "company": None, "leadScore": None, "optIn": None},
        4: {"email": "dee@x.com", "firstName": "null", "company": "An over-lo", "leadScore": 12, "optIn": True},
    }
    assert settled == []


def test_every_fault_of_a_row_rejects_it_whole_and_names_column_field_and_code_but_no_value(tmp_path: Path) -> None:
    leads, settled = prepared(
        tmp_path,
        b"email_address,first_name,score,opted_in\n"
        b"ada@x.com,Ada,twelve,true\n"
        b"b\xf6b@x.com,Bob,1,true\n"
        b"c\xc3\xbc@x.com,Cy,1,true\n"
        b",Dee,1,true\n"
        b'"  ",Eve,1,true\n'
        b'"",Eve,1,true\n'
        b"fay@x.com,Fay\n"
        b"gus@x.com,Augustus Gus,99999999999,maybe\n"
        b"hal@x.com,H\0l,1,true\n"
        b"ian@x.com,Ian,1,true\n",
    )
    assert leads == {10: {"email": "ian@x.com", "firstName": "Ian", "leadScore": 1, "optIn": True}}
    assert {result.row_number: (result.status, result.code) for result in settled} == {
        1: ("rejected", "invalid_integer"),
        2: ("rejected", "not_utf8"),
        3: ("rejected", "not_ascii"),
        4: ("rejected", "blank_key"),
        5: ("rejected", "blank_key"),
        6: ("rejected", "blank_key"),
        7: ("rejected", "ragged_row"),
        8: ("rejected", "too_long"),
        9: ("rejected", "nul_byte"),
    }
    reasons = {result.row_number: result.reason for result in settled}
    assert reasons[1] == "column 'score', field 'leadScore': expected a whole number"
    assert reasons[7] == "expected 4 cells, found 2"
    told = " ".join(str(reason) for reason in reasons.values()).lower()
    assert not [value for value in ("ada", "bob", "twelve", "augustus", "99999999999", "maybe") if value in told]


def test_earlier_rows_of_a_key_are_superseded_even_where_the_last_one_is_bad(tmp_path: Path) -> None:
    leads, settled = prepared(
        tmp_path,
        b"email_address,score\nada@x.com,1\nADA@x.com ,2\nbob@x.com,x\nbob@x.com,2\nada@x.com,x\n",
    )
    assert leads == {4: {"email": "bob@x.com", "leadScore": 2}}
    assert [(result.row_number, result.status, result.key) for result in settled] == [
        (1, "superseded", "ada@x.com"),
        (2, "superseded", "ada@x.com"),
        (3, "superseded", "bob@x.com"),
        (5, "rejected", "ada@x.com"),
    ]


def test_a_column_that_is_null_throughout_leaves_its_field_alone(tmp_path: Path) -> None:
    leads, _ = prepared(tmp_path, b"email_address,score,opted_in\nada@x.com,,\nbob@x.com,,\n")
    assert leads == {1: {"email": "ada@x.com"}, 2: {"email": "bob@x.com"}}


def test_only_the_wanted_rows_are_prepared_and_ragged_ones_are_not_settled_twice(tmp_path: Path) -> None:
    file, match = stored(tmp_path, b"email_address,score\na@x.com,1\nb@x.com\nc@x.com,3\nd@x.com\n")
    wanted = np.array([False, False, False, True, True])
    none = np.zeros(5, np.bool_)
    sent, settled = [], []
    for chunk in chunks(file, [name for name, _ in match.columns]):
        to_send, done = prepare(select(chunk, wanted), match, MAPPING, none)
        sent += [row.row_number for row in to_send]
        settled += [result.row_number for result in done]
    assert (sent, settled) == ([3], [4])


def test_batches_keep_the_order_and_stay_within_300_rows_and_one_megabyte() -> None:
    small = [PreparedRow(number, str(number), b"{}") for number in range(650)]
    assert [len(batch) for batch in batches(small)] == [300, 300, 50]
    assert [row for batch in batches(small) for row in batch] == small
    large = [PreparedRow(number, str(number), b"x" * 400_000) for number in range(5)]
    assert [len(batch) for batch in batches(large)] == [2, 2, 1]
    exact = [PreparedRow(1, "1", b"x" * (MAX_BATCH_BYTES - 1)), PreparedRow(2, "2", b"{}")]
    assert [len(batch) for batch in batches(exact)] == [1, 1]
    assert list(batches([])) == []


def test_a_row_alone_may_fill_a_call_and_not_more() -> None:
    assert not too_large(PreparedRow(1, "k", b"x" * MAX_BATCH_BYTES))
    assert too_large(PreparedRow(1, "k", b"x" * (MAX_BATCH_BYTES + 1)))
