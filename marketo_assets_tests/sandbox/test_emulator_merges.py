"""Guards what a merge hands over: a sync that does not follow it would lose custom objects, members and history."""

from typing import Any

from marketo_assets.marketo.clock import VirtualClock
from marketo_assets_tests.sandbox.emulator_calls import START, Api, codes, emulated
from marketo_assets_tests.sandbox.record_calls import ADA, BOB, TYPES, put

MERGE, DELETE = 32, 37
PETS, VISITS = "customobjects/pet_c", "customobjects/visit_c"
CLEO = "cleo@example.test"


def test_a_chain_of_merges_is_told_of_in_the_stream_with_the_losers() -> None:
    clock = VirtualClock(START)
    with emulated(clock) as (_, api):
        api.sync(*({"email": f"{number}@x.io"} for number in range(1, 7)))
        token = api.paging_token(START)
        merges = []
        for winner, losers in ((2, "1"), (3, "2,4"), (5, "3")):
            clock.advance(60)
            assert api.post(f"leads/{winner}/merge.json", leadIds=losers)["success"]
            merges.append(api.activities(clock.now(), MERGE)[-1])
        api.post("leads/delete.json", id="6")
        streamed = [row for page in api.activity_pages(token, MERGE, DELETE) for row in page.get("result", [])]
    assert [(merge["leadId"], _attributes(merge)["Merge IDs"]) for merge in merges] == [
        (2, "[1]"),
        (3, "[2, 4]"),
        (5, "[3]"),
    ]
    assert all(
        _attributes(merge) | {"Merge IDs": ""}
        == {"Merge IDs": "", "Master Updated": False, "Merged in Sales": False, "Merge Source": "leaddb"}
        for merge in merges
    )
    # What was told of a lead that was merged itself is told of its winner from then on.
    assert [(row["activityTypeId"], row["leadId"], row["primaryAttributeValueId"]) for row in streamed] == [
        (MERGE, 5, 5),
        (MERGE, 5, 5),
        (MERGE, 5, 5),
        (DELETE, 6, 6),
    ]


def test_custom_objects_of_the_losers_are_the_winners() -> None:
    with emulated(custom_objects=TYPES) as (emulator, api):
        _make(api)
        put(api, PETS, {"petId": 1, "owner": ADA}, {"petId": 2, "owner": BOB}, {"petId": 3, "owner": CLEO})
        put(api, VISITS, {"lead": 1, "pet": 1}, {"lead": 2, "pet": 2}, {"lead": 3, "pet": 3})
        assert api.post("leads/1/merge.json", leadIds="2")["success"]
        assert [(pet["petId"], pet["owner"]) for pet in emulator.records("pet_c")] == [(1, ADA), (2, ADA), (3, CLEO)]
        assert [(visit["lead"], visit["pet"]) for visit in emulator.records("visit_c")] == [(1, 1), (1, 2), (3, 3)]
        assert codes(put(api, VISITS, {"lead": 1, "pet": 2}, {"lead": 2, "pet": 2})) == ["updated", "1004"]
        assert api.post("leads/3/merge.json", leadIds="1")["success"]
        assert {visit["lead"] for visit in emulator.records("visit_c")} == {3}
        assert {pet["owner"] for pet in emulator.records("pet_c")} == {CLEO}


def test_an_object_that_the_winner_has_too_is_there_once() -> None:
    with emulated(custom_objects=TYPES) as (emulator, api):
        _make(api)
        put(api, PETS, {"petId": 1})
        put(api, VISITS, {"lead": 1, "pet": 1, "note": "winner's"}, {"lead": 2, "pet": 1, "note": "loser's"})
        assert api.post("leads/1/merge.json", leadIds="2")["success"]
        assert [visit["note"] for visit in emulator.records("visit_c")] == ["winner's"]


def test_a_link_that_another_lead_has_too_stays_where_it_is() -> None:
    with emulated(custom_objects=TYPES) as (emulator, api):
        _make(api)
        api.sync({"email": BOB}, action="createDuplicate")
        put(api, PETS, {"petId": 1, "owner": BOB})
        assert api.post("leads/1/merge.json", leadIds="2")["success"]
        assert [pet["owner"] for pet in emulator.records("pet_c")] == [BOB]


def test_a_winner_without_e_mail_gets_the_losers_and_the_objects_with_it() -> None:
    with emulated(custom_objects=TYPES) as (emulator, api):
        api.sync({"cDBDimMarketingContactID": "C1"}, lookupField="cDBDimMarketingContactID")
        api.sync({"email": ADA}, {"email": BOB})
        put(api, PETS, {"petId": 1, "owner": ADA}, {"petId": 2, "owner": BOB})
        assert api.post("leads/1/merge.json", leadIds="2,3")["success"]
        assert api.lead(1, "email")["email"] == ADA
        assert [pet["owner"] for pet in emulator.records("pet_c")] == [ADA, ADA]


def test_memberships_of_the_losers_are_the_winners() -> None:
    with emulated() as (emulator, api):
        _make(api)
        emulator.put_program_members(2001, [2], "Attended", is_success=True)
        emulator.put_program_members(2002, [1], "Invited")
        emulator.put_program_members(2002, [3], "Attended")
        api.post("lists/1001/leads.json", id="3")
        assert api.post("leads/1/merge.json", leadIds="2,3")["success"]
        for path, status in (("leads/programs/2001.json", "Attended"), ("leads/programs/2002.json", "Invited")):
            (lead,) = api.get(path)["result"]
            assert (lead["id"], lead["membership"]["progressionStatus"]) == (1, status)
        assert [lead["id"] for lead in api.get("lists/1001/leads.json")["result"]] == [1]


def _make(api: Api) -> None:
    api.sync(*({"email": email} for email in (ADA, BOB, CLEO)))


def _attributes(activity: dict[str, Any]) -> dict[str, Any]:
    return {attribute["name"]: attribute["value"] for attribute in activity["attributes"]}
