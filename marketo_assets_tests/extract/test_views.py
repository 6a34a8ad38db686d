"""Views for reports, on the local Snowflake.

Guards against: a report that fails because one value of a million is not of its type, a value that is quietly bent to
fit (12.5 as 13, a number as a date), times in the session's zone, and names that collide or break the SQL.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketo_assets.extract.views import activity_view_name, activity_views, column_name, leads_view, type_view
from marketo_assets.marketo.activities import ActivityAttribute, ActivityType
from marketo_assets.marketo.leads import LeadField
from marketo_assets.warehouse.session import Row, Warehouse
from marketo_assets.warehouse.sql import statement

BASE = [
    "marketo_guid",
    "lead_id",
    "activity_date",
    "activity_type_id",
    "campaign_id",
    "primary_attribute_value_id",
    "primary_attribute_value",
    "attributes",
]
moment = datetime.fromisoformat
WHEN = moment("2026-03-29T01:30:00")


def activity_type(
    attributes: Mapping[str, str],
    *,
    type_id: int = 1,
    name: str = "Visit Webpage",
    primary: tuple[str, str] | None = None,
) -> ActivityType:
    return ActivityType(
        id=type_id,
        name=name,
        description="",
        primary=ActivityAttribute(*primary, None) if primary else None,
        attributes=tuple(ActivityAttribute(*each, None) for each in attributes.items()),
        api_name=None,
    )


def store(
    warehouse: Warehouse,
    attributes: Sequence[Mapping[str, Any]],
    *,
    type_id: int = 1,
    primary: tuple[int | None, str | None] = (None, None),
) -> None:
    """One activity for each object, guids and leads counted from 1."""
    warehouse.create(statement("marketo_assets.extract", "tables"))
    numbers = list(range(1, len(attributes) + 1))
    rows = pa.table({"n": numbers, "attributes": [orjson.dumps(each).decode() for each in attributes]})
    with warehouse.staged(rows) as staged:
        warehouse.execute(
            f"insert into ACTIVITIES select n, n, %(at)s::timestamp_ntz, %(type)s, null, %(id)s, %(value)s,"
            f" parse_json(attributes), 'run', %(at)s::timestamp_ntz from {staged}",
            at=WHEN,
            type=type_id,
            id=primary[0],
            value=primary[1],
        )


def shown(warehouse: Warehouse, view: str) -> list[Row]:
    return warehouse.rows(f"select * from {view} order by length(marketo_guid), marketo_guid")


INTEGERS = {
    "12": 12, 12: 12, " 7 ": 7, "12.0": 12, -3: -3, "+4": 4, "12.5": None, 12.25: None, "1e3": None, "0x10": None,
    "1_000": None, "": None, "abc": None, "null": None, "٣": None, "2026-01-16": None, "9" * 38: int("9" * 38),
    "9" * 39: None, 2**53 + 1: 2**53 + 1,
}  # fmt: skip
NUMBERS = {
    "12": 12, 12.5: 12.5, "12.5": 12.5, ".5": 0.5, "5.": 5, "1e3": 1000, "-1E-2": -0.01, "9" * 41: 1e41, "1,5": None,
    "NaN": None, "inf": None, "0x10": None, "1_000": None, "": None, "€ 5": None, "5%": None,
}  # fmt: skip
BOOLEANS = {"1": True, "0": False, "true": True, "FALSE": False, " true ": True, "2": None, "": None, "ja": None}
DATES = {
    "2026-01-16": date(2026, 1, 16), "2026-01-16T23:32:19Z": date(2026, 1, 16), "2026-02-29": None, "2026-1-6": None,
    "1700000000": None, "01/02/2026": None, "2026": None, "2026-01-16x": None, "0000-01-01": None, "": None,
    "12026-01-01": None, "inf": None, "today": None,
}  # fmt: skip
DATETIMES = {
    "2026-01-16T23:32:19Z": moment("2026-01-16T23:32:19"),
    "2026-01-16T23:32:19+0000": moment("2026-01-16T23:32:19"),
    "2026-01-16T23:32:19+02:00": moment("2026-01-16T21:32:19"),
    "2026-01-16T23:32:19.5-0600": moment("2026-01-17T05:32:19.500000"),
    "2026-01-16T23:32:19.123456Z": moment("2026-01-16T23:32:19.123456"),
    "2026-01-16 23:32:19": moment("2026-01-16T23:32:19"),
    "2026-01-16T23:32": moment("2026-01-16T23:32:00"),
    "2026-01-16": moment("2026-01-16T00:00:00"),
    "2026-02-31T00:00:00Z": None, "2026-01-16T25:00:00Z": None, "1700000000": None, "16 Jan 2026": None, "": None,
    "9999-12-31T23:59:59-10:00": None, "0001-01-01T00:00:00+10:00": None, "2026-01-16T23:32:19Zx": None,
}  # fmt: skip
TEXTS = {
    "a": "a", "": "", " a ": " a ", 'say "hi"': 'say "hi"', "it's": "it's", "null": "null", 12: "12", 1.5: "1.5",
    "NUL\0x": "NUL\0x", "line\r\nbreak\u2028x": "line\r\nbreak\u2028x", "Zoë 😀": "Zoë 😀",
    "back\\slash": "back\\slash",
}  # fmt: skip


@pytest.mark.parametrize(
    ("data_type", "values"),
    [
        ("integer", INTEGERS),
        ("score", INTEGERS),
        ("float", NUMBERS),
        ("currency", NUMBERS),
        ("percent", NUMBERS),
        ("boolean", BOOLEANS),
        ("date", DATES),
        ("datetime", DATETIMES),
        ("string", TEXTS),
        ("text", TEXTS),
        ("a type of next year", TEXTS),
    ],
)
def test_a_value_that_fits_its_type_is_shown_as_such_and_any_other_is_null(
    warehouse: Warehouse, data_type: str, values: dict[Any, Any]
) -> None:
    others = {True: "true", None: None, "absent": None}
    store(
        warehouse,
        [*({"Value": value} for value in values), {"Value": True}, {"Value": None}, {}, {"Value": {"a": [1]}}],
    )
    warehouse.execute(type_view(activity_type({"Value": data_type})))
    *found, true, null, absent, nested = [row["value"] for row in shown(warehouse, "activity_visit_webpage")]
    assert dict(zip(values, found, strict=True)) == values
    assert true == (True if data_type == "boolean" else others[True] if values is TEXTS else None)
    assert (null, absent) == (None, None)
    assert nested == ('{"a":[1]}' if values is TEXTS else None)


def test_columns_have_the_types_of_the_metadata_and_only_rows_of_the_type_are_shown(warehouse: Warehouse) -> None:
    store(warehouse, [{"Count": 1}])
    store(warehouse, [{"Count": 2}], type_id=2)
    shape = {"Count": "integer", "Share": "percent", "Done": "boolean", "On": "date", "At": "datetime", "By": "email"}
    warehouse.execute(type_view(activity_type(shape, type_id=2)))
    assert [row["count"] for row in shown(warehouse, "activity_visit_webpage")] == [2]
    columns = warehouse.rows("describe view activity_visit_webpage")
    assert [column["name"].lower() for column in columns] == [*BASE, "count", "share", "done", "on", "at", "by"]
    types = [column["type"].split("(")[0] for column in columns[len(BASE) :]]
    assert types == ["NUMBER", "FLOAT", "BOOLEAN", "DATE", "TIMESTAMP_NTZ", "VARCHAR"]


NAMES = [
    "Client IP Address", 'say "hi"', "it's", "Größe", "顧客名", "a.b", "back\\slash", "Price ($)",
    "100%", "a[0]", "x:y", "; drop table ACTIVITIES;\n", "--", "{{x}}", "?", "%(x)s", ":x", "😀", "tab\tx",
    "Order", "2nd touch",
]  # fmt: skip


def test_attributes_of_any_name_are_found(warehouse: Warehouse) -> None:
    store(warehouse, [{name: f"value of {name}" for name in NAMES}])
    warehouse.execute(type_view(activity_type(dict.fromkeys(NAMES, "string"))))
    (row,) = shown(warehouse, "activity_visit_webpage")
    assert list(row.values())[len(BASE) :] == [f"value of {name}" for name in NAMES]
    assert list(row)[len(BASE) :][:5] == ["client_ip_address", "say_hi", "it_s", "grosse", "顧客名"]


def test_names_that_come_out_the_same_are_numbered_in_marketos_order(warehouse: Warehouse) -> None:
    names = ["Lead ID", "New Value", "new_value", "NewValue", "!", "?", "Attributes"]
    store(warehouse, [{name: name for name in names}])
    warehouse.execute(type_view(activity_type(dict.fromkeys(names, "string"), primary=("New Value", "string"))))
    (row,) = shown(warehouse, "activity_visit_webpage")
    assert list(row)[len(BASE) :] == [
        "new_value",
        "lead_id_2",
        "new_value_2",
        "new_value_3",
        "new_value_4",
        "attribute",
        "attribute_2",
        "attributes_2",
    ]
    assert [row["lead_id"], row["lead_id_2"], row["new_value_2"], row["new_value_4"]] == [1, "Lead ID", *names[1:4:2]]


def test_a_type_without_attributes_and_one_whose_primary_has_no_name_have_a_view(warehouse: Warehouse) -> None:
    store(warehouse, [{}], primary=(7, "Ada"))
    warehouse.execute(type_view(activity_type({}, primary=("", "string"))))
    (row,) = shown(warehouse, "activity_visit_webpage")
    assert list(row) == BASE
    assert (row["marketo_guid"], row["activity_date"], row["primary_attribute_value"]) == ("1", WHEN, "Ada")


@pytest.mark.parametrize(
    ("type_id", "data_type", "stored", "expected"),
    [
        (1, "integer", (71, "example.test/2024"), 71),
        (1, "string", (71, "example.test/2024"), "example.test/2024"),
        (100_001, "integer", (71, "2024"), 2024),
        (100_001, "date", (None, "2024-02-29"), date(2024, 2, 29)),
    ],
    ids=["asset id", "asset name", "custom integer", "custom date"],
)
def test_the_primary_attribute_has_a_column_of_its_own(
    warehouse: Warehouse, type_id: int, data_type: str, stored: tuple[int | None, str], expected: object
) -> None:
    store(warehouse, [{}], type_id=type_id, primary=stored)
    warehouse.execute(type_view(activity_type({}, type_id=type_id, primary=("Webpage ID", data_type))))
    (row,) = shown(warehouse, "activity_visit_webpage")
    assert (row["webpage_id"], row["primary_attribute_value"]) == (expected, stored[1])


def test_types_of_one_name_and_types_named_like_a_table_have_views_of_their_own(warehouse: Warehouse) -> None:
    store(warehouse, [{"Kind": "first"}], type_id=100_001)
    store(warehouse, [{"Kind": "second"}], type_id=100_002)
    same = {"Kind": "string"}
    types = [
        activity_type(same, type_id=100_002, name="Met at Fair"),
        activity_type(same, type_id=100_001, name="met-at fair"),
        activity_type(same, type_id=100_003, name="Leads"),
    ]
    views = activity_views(types)
    assert list(views) == ["activity_met_at_fair", "activity_met_at_fair_2", "activity_leads_2"]
    assert views == activity_views(types[::-1])
    for sql in views.values():
        warehouse.execute(sql)
        warehouse.execute(sql)
    assert [row["kind"] for row in shown(warehouse, "activity_met_at_fair")] == ["first"]
    assert [row["kind"] for row in shown(warehouse, "activity_met_at_fair_2")] == ["second"]
    assert warehouse.columns("ACTIVITY_LEADS")[:2] == ["lead_id", "fields"]


def test_activities_with_leads_are_those_whose_lead_is_known(warehouse: Warehouse) -> None:
    store(warehouse, [{}, {}, {}])
    leads = pa.table(
        {
            "id": [1, 2, 4],
            "fields": [
                orjson.dumps(each).decode()
                for each in (
                    {"id": 1, "email": "ada@example.com", "leadScore": 7, "unsubscribed": False, "dateOfBirth": "x"},
                    {},
                    {"email": "none@example.com"},
                )
            ],
            "missing": [False, True, False],
        }
    )
    with warehouse.staged(leads) as staged:
        warehouse.execute(
            "insert into ACTIVITY_LEADS (lead_id, fields, field_names, is_missing, run_id, read_at)"
            f" select id, parse_json(fields), '', missing, 'run', %(at)s::timestamp_ntz from {staged}",
            at=WHEN,
        )
    types = {
        "id": "integer",
        "email": "email",
        "leadScore": "score",
        "unsubscribed": "boolean",
        "dateOfBirth": "date",
        "lead_score": "string",
    }
    warehouse.execute(leads_view([LeadField(name, name, kind, None, read_only=False) for name, kind in types.items()]))
    (row,) = shown(warehouse, "activities_with_leads")
    assert {name: row[name] for name in list(row)[len(BASE) :]} == {
        "lead_email": "ada@example.com",
        "lead_lead_score": 7,
        "lead_unsubscribed": False,
        "lead_date_of_birth": None,
        "lead_lead_score_2": None,
    }
    assert (row["marketo_guid"], row["lead_id"]) == ("1", 1)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("Client IP Address", "client_ip_address"),
        ("SFDCLeadId", "sfdc_lead_id"),
        ("mktoIsPartner", "mkto_is_partner"),
        ("anonymousIP", "anonymous_ip"),
        ("cstmFdbk_c", "cstm_fdbk_c"),
        ("Straße / Nº", "strasse_no"),
        ("2nd touch", "_2nd_touch"),
        ("***", "attribute"),
        ("", "attribute"),
    ],
)
def test_columns_are_named_in_snake_case(name: str, column: str) -> None:
    assert column_name(name) == column


@settings(derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=300), st.integers(1, 10**6)), unique_by=lambda each: each[1]))
def test_views_of_any_types_have_distinct_names_that_snowflake_takes(names: list[tuple[str, int]]) -> None:
    types = [activity_type(dict.fromkeys([name, *name], "string"), type_id=number, name=name) for name, number in names]
    views = activity_views(types)
    assert len({name.upper() for name in views}) == len(types)
    assert all(len(name) <= 255 for name in views)
    assert all(activity_view_name(each) in views for each in types if activity_view_name(each) != "activity_leads")
