"""The warehouse session against the local Snowflake.

Guards against: values that change between Arrow and Snowflake, half of a transaction, and tables with personal data
that are left behind.
"""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from snowflake.connector.errors import ProgrammingError

from marketo_assets.sandbox.contacts import open_warehouse
from marketo_assets.warehouse.session import Warehouse, joined

TYPES: dict[str, tuple[pa.DataType, list[Any]]] = {
    "whole": (pa.int64(), [0, -(2**62), None, 2**62]),
    "part": (pa.float64(), [0.0, -1.5, None, 1e300]),
    "flag": (pa.bool_(), [True, False, None, True]),
    "day": (pa.date32(), [date(2024, 2, 29), date(1, 1, 1), None, date(9999, 12, 31)]),
    "moment": (
        pa.timestamp("us"),
        [datetime(2024, 2, 29, 12, 0, 0, 123456), datetime(1700, 1, 1), None, datetime(2250, 1, 1)],  # noqa: DTZ001 - UTC
    ),
    "words": (pa.string(), ["", 'ünï "x", \\ \n\t%(a)s 🎉', None, "null"]),
    "Odd_Name": (pa.large_string(), ["a", "b", None, "d"]),
}
TABLE = pa.table({name: pa.array(values, kind) for name, (kind, values) in TYPES.items()})
BY_FILE = pytest.param(TABLE, id="by file")
IN_ONE_STATEMENT = pytest.param(TABLE.drop_columns(["part"]), id="in one statement")


@pytest.fixture
def warehouse_env(empty_schema_env: dict[str, str]) -> dict[str, str]:
    """Of a schema without tables: it is looked at which ones there are."""
    return empty_schema_env


def tables(warehouse: Warehouse) -> list[str]:
    rows = warehouse.rows("select table_name from information_schema.tables where table_schema = current_schema()")
    return sorted(row["table_name"] for row in rows)


def test_every_type_null_and_letter_comes_back_through_a_staged_table(warehouse: Warehouse) -> None:
    with warehouse.staged(TABLE) as staged:
        assert warehouse.columns(staged) == [name.lower() for name in TYPES]
        back = warehouse.arrow(f"select * from {staged}")
        rows = warehouse.rows(f"select * from {staged}")
    for name, (_, values) in TYPES.items():
        assert sorted(back.column(name.lower()).to_pylist(), key=str) == sorted(values, key=str)
    assert sorted((row["words"] for row in rows), key=str) == sorted(TYPES["words"][1], key=str)


def test_an_empty_table_can_be_staged_and_read(warehouse: Warehouse) -> None:
    with warehouse.staged(TABLE.slice(0, 0)) as staged:
        back = warehouse.arrow(f"select * from {staged}")
    assert (back.num_rows, back.column_names) == (0, [name.lower() for name in TYPES])


@pytest.mark.parametrize("table", [BY_FILE, IN_ONE_STATEMENT])
def test_a_staged_table_is_gone_afterwards_even_after_an_error(warehouse: Warehouse, table: pa.Table) -> None:
    names: list[str] = []

    def fail_while_staged() -> None:
        with warehouse.staged(table) as staged:
            names.append(staged)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_while_staged()
    with pytest.raises(ProgrammingError, match="does not exist"):
        warehouse.columns(names[0])


@pytest.mark.parametrize("table", [BY_FILE, IN_ONE_STATEMENT])
def test_a_staged_table_is_seen_by_its_own_session_only_and_a_kill_would_leave_nothing(
    warehouse: Warehouse, warehouse_env: dict[str, str], table: pa.Table
) -> None:
    with open_warehouse(warehouse_env) as other, other.staged(table) as staged:
        assert len(other.columns(staged)) == len(table.column_names)
        with pytest.raises(ProgrammingError, match="does not exist"):
            warehouse.columns(staged)
        assert tables(warehouse) == []


def test_a_type_without_a_snowflake_type_is_an_error_before_anything_is_made(warehouse: Warehouse) -> None:
    with pytest.raises(TypeError, match="no Snowflake type is known"), warehouse.staged(pa.table({"a": [[1]]})):
        pass
    assert tables(warehouse) == []


def test_a_transaction_is_all_or_nothing(warehouse: Warehouse) -> None:
    warehouse.create("create table A (n number);\ncreate table if not exists A (n number);\n")

    def insert_and_then(fail: Callable[[], object]) -> None:
        with warehouse.transaction():
            warehouse.execute("insert into A select 1")
            fail()

    with pytest.raises(ZeroDivisionError):
        insert_and_then(lambda: 1 / 0)
    assert warehouse.rows("select * from A") == []
    with pytest.raises(ProgrammingError):
        insert_and_then(lambda: warehouse.execute("insert into NO_SUCH_TABLE select 2"))
    assert warehouse.rows("select * from A") == []
    with warehouse.transaction():
        assert warehouse.execute("insert into A select 3") == 1
        warehouse.execute("delete from A using (select 9 as n) s where A.n = s.n")
    assert warehouse.rows("select n from A") == [{"n": 3}]


def test_values_are_bound_and_never_part_of_the_sql(warehouse: Warehouse) -> None:
    warehouse.execute("create table A (word varchar, n number)")
    words = ["'; drop table A; --", "%(n)s %s %%", "\\' \\n", 'a"b', "", "line\nbreak"]
    for n, word in enumerate(words):
        warehouse.execute("insert into A select %(word)s, %(n)s", word=word, n=n)
    warehouse.execute("insert into A select %(word)s, 99", word=None)
    assert [row["word"] for row in warehouse.rows("select word from A order by n")] == [*words, None]
    assert warehouse.rows("select n from A where word = %(word)s", word=words[0]) == [{"n": 0}]


def test_batches_of_one_result_are_joined_although_snowflake_sends_their_numbers_in_different_widths() -> None:
    narrow = pa.table({"n": pa.array([1, None], pa.int8()), "d": pa.array([1, 2], pa.int16())})
    wide = pa.table({"n": pa.array([2**40], pa.int64()), "d": pa.array([Decimal("1.50")], pa.decimal128(38, 2))})
    table = joined([narrow, wide])
    assert table.column("n").to_pylist() == [1, None, 2**40]
    assert table.column("d").to_pylist() == [Decimal("1.00"), Decimal("2.00"), Decimal("1.50")]


@pytest.mark.parametrize("copies", [1, 300])
def test_few_rows_and_many_are_staged_alike(warehouse: Warehouse, copies: int) -> None:
    texts = ['it\'s $5 \\ 100 % {"a": null}', "null", "", "\u2028\n\té\U0001f600", "nul \0 byte", None]
    table = pa.table(
        {
            "text": texts * copies,
            "whole": [2**62, -(2**62), 0, 1, 2, None] * copies,
            "flag": [True, False, True, False, True, None] * copies,
            "day": [date(2020, 2, 29)] * 5 * copies + [None] * copies,
            "moment": pa.array(
                [datetime(2020, 1, 1, 2, 3, 4, 567890)] * 5 * copies + [None] * copies,  # noqa: DTZ001 - UTC
                pa.timestamp("us"),
            ),
        }
    )
    for part in (
        table,
        table.filter(pc.fill_null(pc.invert(pc.match_substring(table["text"], "\0")), fill_value=True)),
    ):
        with warehouse.staged(part) as staged:
            found = warehouse.arrow(f"select text, whole, flag, day, moment from {staged}").to_pylist()
        assert sorted(map(repr, found)) == sorted(map(repr, part.to_pylist()))
