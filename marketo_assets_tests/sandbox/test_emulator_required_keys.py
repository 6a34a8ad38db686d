"""Guards the shape of replies: every key Adobe's published description requires of these endpoints is there.

The description also requires `errors` and `warnings` of every reply. Recorded successes of the lead database carry
neither, and what was recorded on the wire goes before what is described: the emulator leaves them out too.
"""

from typing import Any

import pytest

from marketo_assets_tests.sandbox.emulator_calls import Api, emulated

ENVELOPE = {"requestId", "success"}
LIST_ENVELOPE = ENVELOPE | {"result"}


@pytest.mark.parametrize(
    ("path", "parameters", "required"),
    [
        ("leads/describe.json", {}, {"id", "displayName", "dataType"}),
        ("leads/describe2.json", {}, {"name", "searchableFields", "fields"}),
        ("leads.json", {"filterType": "id", "filterValues": "1"}, {"id"}),
        ("lead/1.json", {}, {"id"}),
        ("leads/partitions.json", {}, {"id", "name"}),
        ("lists.json", {}, {"id", "name", "createdAt", "updatedAt"}),
        ("lists/1001.json", {}, {"id", "name", "createdAt", "updatedAt"}),
        ("lists/1001/leads.json", {}, {"id"}),
        ("lists/1001/leads/ismember.json", {"id": "1"}, {"id"}),
        ("stats/usage.json", {}, {"date", "total", "users"}),
        ("stats/usage/last7days.json", {}, {"date", "total", "users"}),
        ("stats/errors.json", {}, {"date", "total", "errors"}),
        ("stats/errors/last7days.json", {}, {"date", "total", "errors"}),
    ],
)
def test_reads_carry_what_is_required(path: str, parameters: dict[str, str], required: set[str]) -> None:
    with emulated() as (_, api):
        _prepare(api)
        reply = api.get(path, **parameters)
    _check(reply, required)


def test_writes_carry_what_is_required() -> None:
    with emulated() as (_, api):
        _prepare(api)
        _check(api.post("leads.json", {"input": [{"email": "new@example.test"}]}), {"id", "status"})
        _check(api.post("leads/partitions.json", {"input": [{"id": 1, "partitionName": "Europe"}]}), {"id", "status"})
        _check(api.post("lists/1001/leads.json", id="2"), {"id", "status"})
        _check(api.delete("lists/1001/leads.json", id="2"), {"id", "status"})
        assert set(api.post("leads/1/merge.json", leadId="2")) == ENVELOPE
        _check(api.post("leads/delete.json", id="1"), {"id", "status"})


def test_nested_objects_carry_what_is_required() -> None:
    with emulated() as (_, api):
        assert not api.get("nope.json")["success"]
        for field in api.get("leads/describe.json")["result"]:
            assert "name" in field["rest"]
            assert "name" in field.get("soap", {"name": ""})
        for field in api.get("leads/describe2.json")["result"][0]["fields"]:
            assert {"name", "displayName", "dataType", "updateable", "crmManaged"} <= set(field)
        for user in api.get("stats/usage.json")["result"][0]["users"]:
            assert {"userId", "count"} <= set(user)
        for error in api.get("stats/errors.json")["result"][0]["errors"]:
            assert {"errorCode", "count"} <= set(error)
        (skipped,) = api.sync({"email": "no address"})
        assert {"code", "message"} <= set(skipped["reasons"][0])


def test_failures_carry_what_is_required() -> None:
    with emulated() as (_, api):
        reply = api.get("nope.json")
    assert set(reply) == ENVELOPE | {"errors"}
    assert reply["success"] is False
    assert all(isinstance(error["code"], str) and error["message"] for error in reply["errors"])


def _prepare(api: Api) -> None:
    api.sync({"email": "a@example.test"}, {"email": "b@example.test"})
    api.post("lists/1001/leads.json", id="1")


def _check(reply: dict[str, Any], required: set[str]) -> None:
    assert set(reply) >= LIST_ENVELOPE
    assert reply["success"] is True
    assert isinstance(reply["requestId"], str)
    assert reply["result"]
    for row in reply["result"]:
        assert required <= set(row)
