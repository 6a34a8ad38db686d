"""Guards what a create call may ask for: filters, fields and ranges are taken or refused as Marketo does."""

from typing import Any

import orjson
import pytest
from hypothesis import given

from marketo_assets.marketo.clock import VirtualClock
from marketo_assets_tests.sandbox.emulator_calls import START, code, emulated
from marketo_assets_tests.sandbox.export_calls import DAY, Bulk
from marketo_assets_tests.sandbox.test_emulator_any_input import LIMITS, MANY, VALUES

CREATED = {"createdAt": DAY}
ID = ["id"]
JSON = {"Content-Type": "application/json"}


def between(start: str, end: str) -> dict[str, Any]:
    return {"createdAt": {"startAt": start, "endAt": end}}


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"fields": None},  # as a public client sends it
        {"format": "CSV", "fields": ["leadId", "actionResult"], "columnHeaderNames": {"leadId": "Lead"}},
        {"filters": {**CREATED, "activityTypeIds": [1, 12, 100001]}},
        {"filters": between("2026-05-01T00:00:00Z", "2026-06-01T00:00:00Z")},
        {"filters": between("2026-05-01T00:00:00.000Z", "2026-05-01T02:00:00.999+02:00")},
        {"filters": between("2026-05-01", "2026-05-02")},
    ],
)
def test_an_activity_export_is_created(document: dict[str, Any]) -> None:
    with emulated() as (_, api):
        assert Bulk(api).create(**document)["result"][0]["status"] == "Created"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"filters": {"activityTypeIds": [1]}}, "1002"),
        ({"filters": []}, "1003"),
        ({"filters": {**CREATED, "colour": "red"}}, "1003"),
        ({"filters": {**CREATED, "activityTypeIds": []}}, "1003"),
        ({"filters": {**CREATED, "activityTypeIds": ["Visit Webpage"]}}, "1003"),
        ({"filters": {**CREATED, "primaryAttributeValues": ["x"]}}, "1035"),
        ({"filters": {"createdAt": "2026-05-01"}}, "1003"),
        ({"filters": {"createdAt": {"startAt": "2026-05-01T00:00:00Z"}}}, "1003"),
        ({"filters": between("2026-05-02", "2026-05-01")}, "1003"),
        ({"filters": between("2026-05-01T00:00:00Z", "2026-06-01T00:00:01Z")}, "1003"),
        ({"filters": between("2026-05-01T25:00:00Z", "2026-05-02T00:00:00Z")}, "1003"),
        ({"filters": between("20260501", "20260502")}, "1003"),
        ({"fields": ["leadId", "colour"]}, "1003"),
        ({"fields": "leadId"}, "1003"),
        ({"columnHeaderNames": {"colour": "Colour"}}, "1003"),
        ({"columnHeaderNames": {"leadId": 1}}, "1003"),
        ({"format": "XLSX"}, "1003"),
    ],
)
def test_an_activity_export_is_refused(document: dict[str, Any], expected: str) -> None:
    with emulated() as (_, api):
        assert code(Bulk(api).create(**document)) == expected


@pytest.mark.parametrize(
    "filters",
    [CREATED, {"updatedAt": DAY}, {"staticListId": 1001}, {"staticListName": "Customers"}],
)
def test_a_lead_export_is_created(filters: dict[str, Any]) -> None:
    with emulated() as (_, api):
        assert Bulk(api, "leads").create(fields=ID, filters=filters)["result"][0]["status"] == "Created"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, "1002"),
        ({"fields": []}, "1002"),
        ({"fields": ["id", "colour"]}, "1003"),
        ({"fields": ID, "filters": {}}, "1003"),
        ({"fields": ID, "filters": {**CREATED, "staticListId": 1001}}, "1003"),
        ({"fields": ID, "filters": {"staticListId": 7}}, "1003"),
        ({"fields": ID, "filters": {"staticListName": ["Customers"]}}, "1003"),
        ({"fields": ID, "filters": {"smartListId": 7}}, "1035"),
        ({"fields": ID, "filters": {"activityTypeIds": [1]}}, "1003"),
        ({"fields": ID, "filters": between("2026-04-01", "2026-05-28")}, "1003"),
    ],
)
def test_a_lead_export_is_refused(document: dict[str, Any], expected: str) -> None:
    with emulated() as (_, api):
        assert code(Bulk(api, "leads").create(**document)) == expected


def test_a_subscription_without_the_updated_at_filter_says_so() -> None:
    with emulated(updated_at_filter=False) as (_, api):
        leads = Bulk(api, "leads")
        assert code(leads.create(fields=ID, filters={"updatedAt": DAY})) == "1035"
        assert leads.create(fields=ID)["success"]


def test_a_body_that_is_no_object_is_609() -> None:
    with emulated() as (_, api):
        assert code(Bulk(api).call("POST", "/create.json", json=[1])) == "609"
        assert code(Bulk(api).call("POST", "/create.json")) == "609"
        assert code(Bulk(api).call("POST", "/create.json", json={})) == "1002"


@MANY
@given(VALUES, VALUES)
def test_every_body_gets_an_envelope(document: Any, value: Any) -> None:
    with emulated(**LIMITS) as (_, api):
        for kind in ("activities", "leads"):
            for body in (
                document,
                {"filter": document, "fields": value},
                {"fields": ID, "filter": {"createdAt": document, "activityTypeIds": value}},
                {"fields": ID, "filter": {"createdAt": {"startAt": document, "endAt": value}}},
                {"fields": ID, "filter": {"staticListId": document}, "columnHeaderNames": value},
            ):
                reply = Bulk(api, kind).call("POST", "/create.json", data=orjson.dumps(body), headers=JSON)
                assert isinstance(reply["success"], bool)


@pytest.mark.parametrize(("inclusive", "ids"), [(True, [b"2", b"3", b"4"]), (False, [b"2", b"3"])])
def test_the_edges_of_a_range(inclusive: bool, ids: list[bytes]) -> None:
    clock = VirtualClock(START)
    with emulated(clock, export_end_is_inclusive=inclusive) as (emulator, api):
        for lead_id, at in enumerate((START - 11, START - 10, START - 6, START - 5, START - 4), 1):
            emulator.add_activities(1, [lead_id], at)
        filters = between("2026-05-28T20:26:30Z", "2026-05-28T20:26:35Z")
        file = Bulk(api).exported(clock, filters=filters, fields=["leadId"])
    assert file.splitlines()[1:] == ids
