"""Guards what writes leave behind: sync flows read changes, merges and deletes from these activities alone."""

from typing import Any

from marketo_assets_tests.sandbox.emulator_calls import emulated


def test_a_create_leaves_one_new_lead_activity() -> None:
    with emulated() as (emulator, api):
        api.sync({"email": "a@example.test", "firstName": "A"})
        (activity,) = emulator.activities()
    assert (activity["activityTypeId"], activity["leadId"]) == (12, 1)
    assert _attributes(activity)["Source Type"] == "Web service API"


def test_an_update_leaves_one_change_per_changed_field_by_display_name() -> None:
    with emulated() as (emulator, api):
        api.sync({"email": "a@example.test", "firstName": "A", "cDBIsPaidTier": True})
        api.sync({"email": "a@example.test", "firstName": "B", "cDBIsPaidTier": None, "cDBCompanyName": "ACME"})
        api.sync({"email": "a@example.test", "firstName": "B"})
        changes = list(emulator.activities(type_id=13))
        field_ids = {field["displayName"]: field["id"] for field in api.get("leads/describe.json")["result"]}
    seen = {change["primaryAttributeValue"]: _attributes(change) for change in changes}
    assert {name: (values.get("Old Value"), values.get("New Value")) for name, values in seen.items()} == {
        "First Name": ("A", "B"),
        "[CDB] Is Paid Tier": (True, False),
        "[CDB] Company Name": (None, "ACME"),
    }
    assert all(change["primaryAttributeValueId"] == field_ids[change["primaryAttributeValue"]] for change in changes)
    assert len({values["Request Id"] for values in seen.values()}) == 1


def test_activity_ids_are_unique_and_grow() -> None:
    with emulated() as (emulator, api):
        for name in ("A", "B", "C"):
            api.sync(*({"email": f"{number}@example.test", "firstName": name, "city": name} for number in range(3)))
        ids = [activity["id"] for activity in emulator.activities()]
        guids = {activity["marketoGUID"] for activity in emulator.activities()}
    assert ids == sorted(ids)
    assert len(guids) == len(ids) == 3 + 2 * 3 * 2


def test_lists_merges_and_deletes_leave_theirs() -> None:
    with emulated() as (emulator, api):
        api.sync({"email": "a@example.test"}, {"email": "b@example.test", "lastName": "B"}, {"email": "c@example.test"})
        api.post("lists/1001/leads.json", id="1")
        api.post("lists/1001/leads.json", id="1")
        api.delete("lists/1001/leads.json", {"input": [{"id": 1}]})
        api.post("leads/1/merge.json", leadIds="2")
        api.sync({"email": "c@example.test", "firstName": "See", "lastName": "Dee"})
        api.post("leads/delete.json", id="3")
        by_type = {number: list(emulator.activities(type_id=number)) for number in (24, 25, 32, 37)}
    assert [len(found) for found in by_type.values()] == [1, 1, 1, 1]
    assert (by_type[24][0]["primaryAttributeValueId"], by_type[24][0]["primaryAttributeValue"]) == (1001, "Newsletter")
    assert by_type[32][0]["leadId"] == by_type[32][0]["primaryAttributeValueId"] == 1
    assert _attributes(by_type[32][0]) == {
        "Merge IDs": "[2]",
        "Master Updated": True,
        "Merged in Sales": False,
        "Merge Source": "leaddb",
    }
    assert (by_type[37][0]["leadId"], by_type[37][0]["primaryAttributeValue"]) == (3, "See Dee")


def test_filled_leads_have_no_activities() -> None:
    with emulated() as (emulator, _):
        emulator.fill(10)
        assert list(emulator.activities()) == []


def _attributes(activity: dict[str, Any]) -> dict[str, Any]:
    return {attribute["name"]: attribute["value"] for attribute in activity["attributes"]}
