"""Guards leadchanges.json: a mirror would miss new leads, or take the changes of fields that it did not ask for.

Shape of a record as documented; what a New Lead looks like there is not.
"""

from typing import Any

import pytest

from marketo_assets_tests.sandbox.emulator_calls import START, Api, code, emulated

NEW_LEAD, CHANGE = 12, 13


def changes(api: Api, token: str, fields: str, **parameters: Any) -> list[dict[str, Any]]:
    """Of all pages."""
    found: list[dict[str, Any]] = []
    more = True
    while more:
        page = api.get("activities/leadchanges.json", nextPageToken=token, fields=fields, **parameters)
        assert page["success"], page
        found += page.get("result", [])
        token, more = page["nextPageToken"], page["moreResult"]
    return found


def test_a_change_has_the_documented_shape() -> None:
    with emulated() as (emulator, api):
        (lead,) = api.sync({"email": "ada@example.test", "city": "Paris"})
        token = api.paging_token(START)
        api.sync({"email": "ada@example.test", "city": "Rome"})
        found = changes(api, token, "city")
        field = emulator._instance.fields.get("city")
    assert field is not None
    created, changed = found
    assert (created["activityTypeId"], created["leadId"], created["fields"]) == (NEW_LEAD, lead["id"], [])
    assert changed == {
        "id": changed["id"],
        "marketoGUID": str(changed["id"]),
        "leadId": lead["id"],
        "activityDate": "2026-05-28T20:26:40Z",
        "activityTypeId": CHANGE,
        "fields": [{"id": field.id, "name": "city", "newValue": "Rome", "oldValue": "Paris"}],
        "attributes": [
            {"name": "Reason", "value": "Web service API"},
            {"name": "Source", "value": "Web service API"},
            {"name": "Lead ID", "value": lead["id"]},
        ],
    }


def test_only_the_fields_asked_for_are_told_of_and_every_new_lead() -> None:
    with emulated() as (_, api):
        api.sync({"email": "ada@example.test"}, {"email": "bob@example.test"})
        api.sync({"email": "ada@example.test", "city": "Rome", "firstName": "Ada", "lastName": "L"})
        api.sync({"email": "bob@example.test", "title": "Dr"})
        found = changes(api, api.paging_token(START), "firstName,city")
    assert [(each["leadId"], each["activityTypeId"]) for each in found][:2] == [(1, NEW_LEAD), (2, NEW_LEAD)]
    assert sorted(field["name"] for each in found for field in each["fields"]) == ["city", "firstName"]
    assert {each["leadId"] for each in found if each["fields"]} == {1}


@pytest.mark.parametrize("size", [1, 7, 300])
def test_pages_of_any_size_tell_of_every_change_once(size: int) -> None:
    with emulated(rate=None) as (_, api):
        people = [{"email": f"{number}@example.test"} for number in range(20)]
        api.sync(*people)
        api.sync(*({**row, "firstName": "A", "lastName": "B", "city": "C"} for row in people))
        found = changes(api, api.paging_token(START), "city,lastName", batchSize=size)
    told = [(each["leadId"], field["name"]) for each in found for field in each["fields"]]
    assert sorted(told) == [(lead, name) for lead in range(1, 21) for name in ("city", "lastName")]
    assert len({each["marketoGUID"] for each in found}) == len(found) == 60


def test_leads_narrow_the_stream_down() -> None:
    with emulated() as (_, api):
        api.sync({"email": "ada@example.test"}, {"email": "bob@example.test"})
        found = changes(api, api.paging_token(START), "city", leadIds="2")
    assert [each["leadId"] for each in found] == [2]


def test_a_change_of_a_field_that_is_none_is_left_out() -> None:
    with emulated() as (emulator, api):
        emulator.add_activities(CHANGE, [1], START)
        emulator.add_activities(CHANGE, [1], START, primary="Of old", primary_id=99_999)
        assert changes(api, api.paging_token(START), "city") == []


def test_fields_are_required_and_must_exist() -> None:
    with emulated() as (_, api):
        token = api.paging_token(START)
        assert code(api.get("activities/leadchanges.json", nextPageToken=token)) == "1002"
        assert code(api.get("activities/leadchanges.json", nextPageToken=token, fields="shoeSize")) == "1006"
        assert code(api.get("activities/leadchanges.json", fields="city")) == "1002"
