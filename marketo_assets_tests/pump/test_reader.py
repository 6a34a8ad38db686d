"""Bytes of a CSV file as rows and cells.

Guards against: rows lost or merged without a word, row numbers that point at the wrong line, a file that is believed
although it cannot be read, and messages that quote what the file holds.
"""

import csv
import gzip
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketo_assets.pump.reader import BLOCK_BYTES, LONGEST_ROW_BYTES, CsvFile, FileRefusedError, chunks, scan, store

Cells = list[bytes | None]


def stored(folder: Path, content: bytes, *, compressed: bool = False) -> CsvFile:
    return store(io.BytesIO(content), folder / "rows.csv", compressed=compressed)


def rows(file: CsvFile, columns: Sequence[str] | None = None) -> dict[int, Cells]:
    """The good rows by row number."""
    names = list(columns or file.header)
    return {
        number: list(cells.values())
        for chunk in chunks(file, names)
        for number, cells in zip(chunk.row_numbers.tolist(), chunk.cells.to_pylist(), strict=True)
    }


def ragged(file: CsvFile) -> list[tuple[int, int, int]]:
    """Row number, cells expected, cells found."""
    return [
        (row.row_number, row.expected, row.found) for chunk in chunks(file, file.header[:1]) for row in chunk.ragged
    ]


def refusal(folder: Path, content: bytes, *, compressed: bool = False) -> str:
    with pytest.raises(FileRefusedError) as refused:
        scan(stored(folder, content, compressed=compressed), "a")
    return str(refused.value)


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,2\n3,4\n",
        b"a,b\n1,2\n3,4",
        b"a,b\r\n1,2\r\n3,4\r\n",
        b"a,b\r1,2\r3,4\r",
        b"\xef\xbb\xbfa,b\n1,2\n3,4\n",
        b'\xef\xbb\xbf"a","b"\n"1","2"\n"3","4"\n',
        b"\n\na,b\n\n1,2\n\n\n3,4\n\n",
        b"a,b\r\n1,2\n3,4\r",
    ],
    ids=["lf", "no newline at end", "crlf", "cr", "bom", "bom and quotes", "blank lines", "mixed newlines"],
)
def test_line_ends_bom_and_blank_lines_do_not_change_rows(tmp_path: Path, content: bytes) -> None:
    file = stored(tmp_path, content)
    assert file.header == ("a", "b")
    assert rows(file) == {1: [b"1", b"2"], 2: [b"3", b"4"]}
    assert scan(file, "a").row_count == 2


@pytest.mark.parametrize("content", [b"a,b\n", b"a,b", b"\xef\xbb\xbfa,b\r\n", b"a,b\n\n\n"])
def test_a_header_without_rows_is_a_file_of_no_rows(tmp_path: Path, content: bytes) -> None:
    file = stored(tmp_path, content)
    assert (file.header, rows(file), scan(file, "a").row_count) == (("a", "b"), {}, 0)


@pytest.mark.parametrize("content", [b"\n", b"\xef\xbb\xbf", b"\r\n\r\n"])
def test_a_file_of_nothing_but_blank_lines_has_an_empty_header(tmp_path: Path, content: bytes) -> None:
    assert stored(tmp_path, content).header == ()


def test_null_and_empty_and_the_words_for_them_are_told_apart(tmp_path: Path) -> None:
    file = stored(tmp_path, b'a,b\n,""\n"",\nnull,"NULL"\n0,NaN\n')
    assert rows(file) == {1: [None, b""], 2: [b"", None], 3: [b"null", b"NULL"], 4: [b"0", b"NaN"]}


def test_odd_bytes_arrive_as_they_are(tmp_path: Path) -> None:
    file = stored(tmp_path, b'a,b\n1,x\0y\n=1+1,m\xfcller\n"two\nlines","say ""hi"""\n" 3 ","a,b"\n')
    assert rows(file) == {
        1: [b"1", b"x\0y"],
        2: [b"=1+1", b"m\xfcller"],
        3: [b"two\nlines", b'say "hi"'],
        4: [b" 3 ", b"a,b"],
    }


def test_a_quote_within_an_unquoted_value_belongs_to_it(tmp_path: Path) -> None:
    file = stored(tmp_path, b'a,b\n3.5" disk,x\n5\'10" tall," y"\n , "z\n')
    assert rows(file) == {1: [b'3.5" disk', b"x"], 2: [b"5'10\" tall", b" y"], 3: [b" ", b' "z']}


def test_an_unknown_column_is_passed_over_and_the_asked_for_ones_come_in_the_asked_for_order(tmp_path: Path) -> None:
    file = stored(tmp_path, b"x,b,a\n9,2,1\n")
    assert rows(file, ["a", "b"]) == {1: [b"1", b"2"]}


@pytest.mark.parametrize(
    ("content", "row"),
    [
        (b'a,b\n1,2\n"ada,3\n4,5\n', 2),
        (b'a,b\n1,"\n', 1),
        (b'a,b\n1,"ada\n2,3\n4,"bob\n5,6\n', 1),
        (b'a,b\n1,2\n3,"ada"s\n', 2),
        (b'a,b\n1,2\n3,"the "ada" one"\n', 2),
        (b'a,"b\n1,2\n', 0),
    ],
    ids=["never closed", "last byte", "two never closed", "goes on", "not doubled", "header"],
)
def test_quotes_that_would_merge_or_change_rows_refuse_the_file_by_row(
    tmp_path: Path, content: bytes, row: int
) -> None:
    message = refusal(tmp_path, content)
    assert message.startswith(f"row {row}: a quote is opened and never closed, or a value goes on")
    assert "ada" not in message


@pytest.mark.parametrize("before", [(1 << 20) - 9, (1 << 20) - 8, (1 << 20) - 7, (1 << 20) - 6])
def test_quotes_are_judged_right_where_two_blocks_of_the_copy_meet(tmp_path: Path, before: int) -> None:
    text = b"x" * (before - len(b"a,b\n,")) + b',"y""z"\n"2","3"\n'
    assert rows(stored(tmp_path, b"a,b\n" + text))[2] == [b"2", b"3"]
    assert refusal(tmp_path, b"a,b\n" + text.replace(b'z"', b'z"!')).startswith("row 1:")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,b\nada,2\n".encode("utf-16"), "UTF-16"),
        ("a,b\nada,2\n".encode("utf-16-le"), "UTF-16"),
        ("a,b\nada,2\n".encode("utf-16-be"), "UTF-16"),
        ("a,b\nada,2\n".encode("utf-32"), "UTF-32"),
        ("größe,a\nada,2\n".encode("latin-1"), "the header row is not in UTF-8"),
        (b"", "0 bytes"),
        (gzip.compress(b"a,b\nada,2\n"), "does not end in .gz"),
    ],
    ids=["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1 header", "empty", "gzip"],
)
def test_an_encoding_that_cannot_be_read_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    message = refusal(tmp_path, content)
    assert said in message
    assert "ada" not in message


def test_gzip_is_read_and_hashed_as_it_lies_on_s3(tmp_path: Path) -> None:
    content = gzip.compress(b"a,b\n1,2\n")
    file = stored(tmp_path, content, compressed=True)
    assert rows(file) == {1: [b"1", b"2"]}
    assert file.byte_count == len(content)


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(b"a,b\nada,2\n" * 1000)[:-9],
        gzip.compress(b"a,b\nada,2\n" * 1000)[:30],
        gzip.compress(b"a,b\nada,2\n" * 1000)[:-8] + bytes(8),
        b"ada,b\n1,2\n",
    ],
    ids=["cut at the end", "cut at the start", "wrong checksum", "not gzip"],
)
def test_a_gzip_that_is_not_whole_is_refused_without_quoting_it(tmp_path: Path, content: bytes) -> None:
    message = refusal(tmp_path, content, compressed=True)
    assert message == "the name ends in .gz, but the file is cut short, damaged or not in gzip; upload it again"


def test_an_empty_gzip_is_an_empty_file(tmp_path: Path) -> None:
    assert "0 bytes" in refusal(tmp_path, gzip.compress(b""), compressed=True)
    assert "0 bytes" in refusal(tmp_path, b"", compressed=True)


def test_ragged_rows_keep_the_numbers_of_all_rows_right(tmp_path: Path) -> None:
    file = stored(tmp_path, b'a,b\n\n1,2\n3\n\n"p\n\nq",4\n5,6,7\n\n8,9\n10\n')
    assert ragged(file) == [(2, 2, 1), (4, 2, 3), (6, 2, 1)]
    assert rows(file) == {1: [b"1", b"2"], 3: [b"p\n\nq", b"4"], 5: [b"8", b"9"]}
    assert scan(file, "a").row_count == 6


def test_a_file_of_ragged_rows_only_loses_none(tmp_path: Path) -> None:
    file = stored(tmp_path, b"a,b\n1\n2\n3,4,5\n")
    assert (ragged(file), rows(file)) == ([(1, 2, 1), (2, 2, 1), (3, 2, 3)], {})
    assert scan(file, "a").row_count == 3


def test_row_numbers_go_on_across_blocks(tmp_path: Path) -> None:
    lines, bad = [b"a,b"], []
    for number in range(1, 3001):
        if number % 7 == 0:
            lines.append(b"")
        if number % 500 == 499 or number > 2996:
            lines.append(b"1,2,3")
            bad.append(number)
        elif number % 11 == 0:
            lines.append(b'"' + b"x\n\n" * 4000 + b'",%d' % number)
        else:
            lines.append(b"x" * 12_000 + b",%d" % number)
    content = b"\n".join(lines)
    assert len(content) > 2 * BLOCK_BYTES
    file = stored(tmp_path, content)
    assert [number for number, _, _ in ragged(file)] == bad
    good = rows(file, ["b"])
    assert sorted([*good, *bad]) == list(range(1, 3001))
    assert all(cells == [b"%d" % number] for number, cells in good.items())


def test_a_field_of_10_mb_leaves_its_neighbours_alone(tmp_path: Path) -> None:
    long = b"x" * 10_000_000
    file = stored(tmp_path, b"a,b\n1,2\n3," + long + b"\n5,6\n")
    assert rows(file) == {1: [b"1", b"2"], 2: [b"3", long], 3: [b"5", b"6"]}


def test_a_long_row_deep_in_a_file_repeats_no_row_before_it(tmp_path: Path) -> None:
    lines = [b"1,2,3" if number % 9 == 0 else b"x" * 500 + b",%d" % number for number in range(1, 10_001)]
    long = b"x" * (2 * BLOCK_BYTES)
    file = stored(tmp_path, b"\n".join([b"a,b", *lines, long + b",10001", b"1,2,3", b"y,10003"]))
    numbers = [int(number) for chunk in chunks(file, ["b"]) for number in chunk.row_numbers]
    cells = [cell for chunk in chunks(file, ["b"]) for cell in chunk.cells.column(0).to_pylist()]
    assert numbers == [number for number in range(1, 10_004) if number % 9 and number != 10_002]
    assert cells == [b"%d" % number for number in numbers]
    assert [number for number, _, _ in ragged(file)] == [*range(9, 10_001, 9), 10_002]


def test_a_row_longer_than_a_block_refuses_the_file_and_names_the_place(tmp_path: Path) -> None:
    message = refusal(tmp_path, b"a,b\n1,2\n3," + b"x" * (2 * LONGEST_ROW_BYTES + 1) + b"\n5,6\n")
    assert message == "after row 1: a row is longer than 16 MiB; shorten or remove it"


def superseded(folder: Path, content: bytes) -> list[int]:
    return [int(row) for row in np.flatnonzero(scan(stored(folder, content), "key").superseded)]


def test_the_last_row_of_a_key_wins_blanks_and_case_aside(tmp_path: Path) -> None:
    content = b'key,x\nAda@x.com,1\n" ada@X.COM ",2\nbob@x.com,3\n,4\n"",5\nada@x.com,6\n'
    assert superseded(tmp_path, content) == [1, 2]


def test_keys_in_bytes_that_are_no_text_are_not_taken_for_one_another(tmp_path: Path) -> None:
    assert superseded(tmp_path, "key,x\nmüller@x.com,1\nmöller@x.com,2\n".encode("latin-1")) == []


def test_ragged_rows_have_no_key_to_supersede(tmp_path: Path) -> None:
    assert superseded(tmp_path, b"key,x\nada@x.com\nada@x.com,1\n") == []


CELL = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(
    ['"', '""', ",", "\r", "\n", "\r\n", "\0", "﻿"]
)


@settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    table=st.lists(st.tuples(CELL, CELL, CELL), max_size=6),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_any_table_written_by_rfc_4180_comes_back_byte_for_byte(
    tmp_path: Path, table: list[tuple[str, str, str]], quoting: int
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=quoting).writerows([("a", "b", "c"), *table])  # type: ignore[arg-type]  # a constant of csv
    file = stored(tmp_path, text.getvalue().encode())
    empty = b"" if quoting == csv.QUOTE_ALL else None
    expected = [[cell.encode() or empty for cell in row] for row in table]
    found = rows(file)
    assert list(found.values()) == expected
    assert list(found) == list(range(1, len(table) + 1))


@settings(
    max_examples=300, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=st.text('ab,"\n\r ', max_size=24))
def test_whatever_is_not_refused_means_the_same_to_two_readers(tmp_path: Path, body: str) -> None:
    text = f"a,b\n{body}"
    try:
        file = stored(tmp_path, text.encode())
    except FileRefusedError:
        with pytest.raises(csv.Error):
            list(csv.reader(io.StringIO(text, newline=""), strict=True))
        return
    expected = [row for row in csv.reader(io.StringIO(text, newline="")) if row][1:]
    found = {number: [(cell or b"").decode() for cell in cells] for number, cells in rows(file).items()}
    found_ragged = {number: cells for number, _, cells in ragged(file)}
    assert found == {number: row for number, row in enumerate(expected, 1) if len(row) == 2}
    assert found_ragged == {number: len(row) for number, row in enumerate(expected, 1) if len(row) != 2}
