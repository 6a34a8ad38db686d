"""Guards the shape of replies: every key Adobe's published description requires of these endpoints is there.

The description also requires `errors` and `warnings` of every reply. Recorded successes of the lead database carry
neither, and what was recorded on the wire goes before what is described: the emulator leaves them out too.
"""

from typing import Any

import pytest

from marketo_assets_tests.sandbox.emulator_calls import Api, emulated
from marketo_assets_tests.sandbox.record_calls import TYPES, put_companies

ENVELOPE = {"requestId", "success"}
LIST_ENVELOPE = ENVELOPE | {"result"}
FIELD = {
    *("displayName", "name", "description", "dataType"),
    *("isHidden", "isHtmlEncodingInEmail", "isSensitive", "isCustom", "isApiCreated"),
}
# The description calls the name `apiName`, and requires what belongs to drafts of types; documented replies have
# neither, and no `relationships` for companies.
DESCRIBED = {
    *("name", "displayName", "description", "createdAt", "updatedAt"),
    *("idField", "dedupeFields", "searchableFields", "fields"),
}


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
        ("leads/programs/2001.json", {}, {"id", "membership"}),
        ("leads/schema/fields.json", {}, FIELD),
        ("leads/schema/fields/email.json", {}, FIELD),
        ("companies/schema/fields.json", {}, FIELD),
        ("companies/schema/fields/company.json", {}, FIELD),
        ("companies/describe.json", {}, DESCRIBED),
        ("companies.json", {"filterType": "company", "filterValues": "ACME"}, {"id", "seq"}),
        ("customobjects.json", {}, DESCRIBED - {"fields"} | {"relationships"}),
        ("customobjects/pet_c/describe.json", {}, DESCRIBED | {"relationships"}),
        ("customobjects/pet_c.json", {"filterType": "petId", "filterValues": "1"}, {"marketoGUID", "seq"}),
        ("lists/1001/leads/ismember.json", {"id": "1"}, {"id"}),
        ("stats/usage.json", {}, {"date", "total", "users"}),
        ("stats/usage/last7days.json", {}, {"date", "total", "users"}),
        ("stats/errors.json", {}, {"date", "total", "errors"}),
        ("stats/errors/last7days.json", {}, {"date", "total", "errors"}),
    ],
)
def test_reads_carry_what_is_required(path: str, parameters: dict[str, str], required: set[str]) -> None:
    with emulated(custom_objects=TYPES) as (emulator, api):
        _prepare(api)
        emulator.put_program_members(2001, [1])
        reply = api.get(path, **parameters)
    _check(reply, required)


def test_writes_carry_what_is_required() -> None:
    with emulated(custom_objects=TYPES) as (_, api):
        _prepare(api)
        key, pet = {"externalCompanyId": "A1"}, {"petId": 1}
        for path, row, record_id in (("companies", key, "id"), ("customobjects/pet_c", pet, "marketoGUID")):
            _check(api.post(f"{path}.json", {"input": [row]}), {record_id, "seq", "status"})
            _check(api.post(f"{path}/delete.json", {"input": [row]}), {record_id, "seq", "status"})
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


def test_nested_objects_of_records_carry_what_is_required() -> None:
    with emulated(custom_objects=TYPES) as (emulator, api):
        _prepare(api)
        emulator.put_program_members(2001, [1])
        for path in ("companies", "customobjects/visit_c"):
            (described,) = api.get(f"{path}/describe.json")["result"]
            for field in described["fields"]:
                assert {"name", "displayName", "dataType", "updateable"} <= set(field)
            for relationship in described.get("relationships", []):
                assert {"field", "type", "relatedTo"} <= set(relationship)
                assert {"name", "field"} <= set(relationship["relatedTo"])
        (skipped,) = api.post("companies.json", {"input": [{"externalCompanyId": None}]})["result"]
        assert {"seq", "status"} <= set(skipped)
        assert {"code", "message"} <= set(skipped["reasons"][0])
        (member,) = api.get("leads/programs/2001.json")["result"]
        assert {"membershipDate", "progressionStatus"} <= set(member["membership"])
        api.sync({"email": "a@example.test", "city": "Rome"})
        token = api.paging_token(0)
        for change in api.get("activities/leadchanges.json", nextPageToken=token, fields="city")["result"]:
            assert {"activityDate", "activityTypeId", "attributes", "id", "leadId"} <= set(change)
            assert all({"id", "name", "newValue"} <= set(field) for field in change["fields"])


def test_failures_carry_what_is_required() -> None:
    with emulated() as (_, api):
        reply = api.get("nope.json")
    assert set(reply) == ENVELOPE | {"errors"}
    assert reply["success"] is False
    assert all(isinstance(error["code"], str) and error["message"] for error in reply["errors"])


def _prepare(api: Api) -> None:
    """Leads, one of them on a list, a company and custom objects."""
    api.sync({"email": "a@example.test"}, {"email": "b@example.test"})
    api.post("lists/1001/leads.json", id="1")
    put_companies(api, A1="ACME")
    api.post("customobjects/pet_c.json", {"input": [{"petId": 1}]})


def _check(reply: dict[str, Any], required: set[str]) -> None:
    assert set(reply) >= LIST_ENVELOPE
    assert reply["success"] is True
    assert isinstance(reply["requestId"], str)
    assert reply["result"]
    for row in reply["result"]:
        assert required <= set(row)
