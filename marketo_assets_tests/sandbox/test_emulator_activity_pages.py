"""Guards the pages of activities.json: a client that reads them as anything but a scan loses activities or never ends.

Short pages, empty pages with more to come, a missing `result`, the token on the last page: all of them are normal.
"""

from contextlib import suppress
from typing import Any

import pytest
import requests

from marketo_assets.sandbox.marketo import Fault
from marketo_assets_tests.sandbox.emulator_calls import START, Api, code, emulated

VISIT, FORM, MAIL, CHANGE = 1, 2, 6, 13


def ids(page: dict[str, Any]) -> list[int]:
    return [activity["id"] for activity in page.get("result", [])]


def test_a_record_and_its_envelope_have_the_documented_shape() -> None:
    with emulated() as (emulator, api):
        emulator.add_activities(
            VISIT,
            [7],
            START - 60,
            attributes={"Client IP Address": "203.0.113.7"},
            primary="example.test/page",
            primary_id=71,
            campaign_id=77,
        )
        (page,) = api.activity_pages(api.paging_token(START - 60), VISIT)
    assert set(page) == {"requestId", "success", "result", "nextPageToken", "moreResult"}
    assert page["result"] == [
        {
            "id": 1,
            "marketoGUID": "1",
            "leadId": 7,
            "activityDate": "2026-05-28T20:25:40Z",
            "activityTypeId": VISIT,
            "campaignId": 77,
            "primaryAttributeValueId": 71,
            "primaryAttributeValue": "example.test/page",
            "attributes": [{"name": "Client IP Address", "value": "203.0.113.7"}],
        }
    ]


def test_each_call_looks_at_300_activities_of_all_types_so_that_pages_may_be_empty_with_more_to_come() -> None:
    with emulated() as (emulator, api):
        (first,) = emulator.add_activities(FORM, [1], START)
        emulator.add_activities(VISIT, range(1, 901), START)
        (last,) = emulator.add_activities(FORM, [2], START)
        pages = list(api.activity_pages(api.paging_token(START), FORM))
    assert [ids(page) for page in pages] == [[first], [], [], [last]]
    assert ["result" in page for page in pages] == [True, False, False, True]
    assert [page["moreResult"] for page in pages] == [True, True, True, False]
    assert all(page["nextPageToken"] for page in pages)


def test_the_last_token_goes_on_where_the_stream_ended() -> None:
    with emulated() as (emulator, api):
        emulator.add_activities(VISIT, [1], START)
        (page,) = api.activity_pages(api.paging_token(START), VISIT)
        (idle,) = api.activity_pages(page["nextPageToken"], VISIT)
        emulator.add_activities(VISIT, [2], START)
        (news,) = api.activity_pages(idle["nextPageToken"], VISIT)
    assert set(idle) == {"requestId", "success", "nextPageToken", "moreResult"}
    assert [activity["leadId"] for activity in news["result"]] == [2]


@pytest.mark.parametrize("size", [1, 7, 150, 300, 1_000])
def test_pages_of_any_size_add_up_also_across_changes_that_are_stored_as_one(size: int) -> None:
    with emulated(rate=None) as (emulator, api):
        people = [{"email": f"{number}@example.test"} for number in range(4)]
        api.sync(*people)
        api.sync(
            *({**row, "firstName": "A", "lastName": "B", "city": "C", "site": "D", "rating": "E"} for row in people)
        )
        emulator.add_activities(VISIT, range(1, 401), START)
        pages = list(api.activity_pages(api.paging_token(START), VISIT, CHANGE, batchSize=size))
    found = [activity_id for page in pages for activity_id in ids(page)]
    assert found == list(range(5, 425))
    assert max(len(ids(page)) for page in pages) <= min(size, 300)


def test_leads_lists_and_assets_narrow_the_stream_down() -> None:
    with emulated() as (emulator, api):
        api.sync(*({"email": f"{number}@example.test"} for number in range(1, 5)))
        api.post("lists/1001/leads.json", id="2,3")
        emulator.add_activities(VISIT, range(1, 5), START, primary_id=10)
        emulator.add_activities(VISIT, range(1, 5), START, primary_id=20)

        def leads(**parameters: Any) -> list[int]:
            return [activity["leadId"] for activity in api.activities(START, VISIT, **parameters)]

        assert leads(leadIds="1,4") == leads(leadIds=["1", "4"]) == [1, 4, 1, 4]
        assert leads(listId="1001") == [2, 3, 2, 3]
        assert leads(listId="1001", leadIds="1,2") == [2, 2]
        assert leads(assetIds="20") == [1, 2, 3, 4]


def test_activities_of_a_merged_lead_are_its_winners() -> None:
    with emulated() as (emulator, api):
        api.sync({"email": "a@example.test"}, {"email": "b@example.test"})
        emulator.add_activities(VISIT, [2], START)
        api.post("leads/1/merge.json", leadIds="2")
        assert [activity["leadId"] for activity in api.activities(START, VISIT, leadIds="1")] == [1]


def test_the_types_may_be_repeated_instead_of_listed() -> None:
    with emulated() as (emulator, api):
        emulator.add_activities(VISIT, [1], START)
        emulator.add_activities(FORM, [1], START)
        emulator.add_activities(MAIL, [1], START)
        page = api.get("activities.json", nextPageToken=api.paging_token(START), activityTypeIds=["1", "6"])
    assert [activity["activityTypeId"] for activity in page["result"]] == [VISIT, MAIL]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, "1002"),
        ({"activityTypeIds": ""}, "1002"),
        ({"activityTypeIds": ","}, "1002"),
        ({"activityTypeIds": "one"}, "1001"),
        ({"activityTypeIds": "99"}, "1003"),
        ({"activityTypeIds": "1,2,3,6,7,8,9,10,11,12,13"}, "1003"),
        ({"activityTypeIds": "1", "leadIds": ",".join(map(str, range(1, 32)))}, "1003"),
        ({"activityTypeIds": "1", "listId": "5"}, "1013"),
        ({"activityTypeIds": "1,2", "assetIds": "5"}, "1003"),
        ({"activityTypeIds": "1", "batchSize": "0"}, "1001"),
    ],
)
def test_what_cannot_be_asked_is_refused(parameters: dict[str, str], expected: str) -> None:
    with emulated() as (_, api):
        assert code(api.get("activities.json", nextPageToken=api.paging_token(START), **parameters)) == expected


def test_a_call_without_a_token_is_refused() -> None:
    with emulated() as (_, api):
        assert code(api.get("activities.json", activityTypeIds="1")) == "1002"
        assert code(api.get("activities/deletedleads.json")) == "1002"


def test_a_list_of_10000_leads_cannot_be_asked_for() -> None:
    with emulated() as (emulator, api):
        emulator.fill(10_000, duplicate_share=0)
        for start in range(1, 10_000, 300):
            api.post("lists/1001/leads.json", {"input": [{"id": lead_id} for lead_id in range(start, start + 300)]})
        asked = {"nextPageToken": api.paging_token(START), "activityTypeIds": "1"}
        assert code(api.get("activities.json", listId="1001", **asked)) == "1003"
        assert api.get("activities.json", listId="1002", **asked)["success"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("GET /rest/v1/activities.json", "error", code="604", first=1),
        Fault("GET /rest/v1/activities.json", "http_502", first=1),
        Fault("GET /rest/v1/activities.json", "truncated_json", first=1),
        Fault("GET /rest/v1/activities.json", "reset_after_write", first=1),
        Fault("GET /rest/v1/activities.json", "expired_token", first=1),
    ],
    ids=lambda fault: str(fault.kind),
)
def test_a_call_that_goes_wrong_loses_nothing_the_same_token_gives_the_same_page_again(fault: Fault) -> None:
    with emulated(faults=[fault]) as (emulator, api):
        emulator.add_activities(VISIT, range(1, 401), START)
        asked = {"nextPageToken": api.paging_token(START), "activityTypeIds": "1"}
        with suppress(requests.RequestException):
            assert not api.get("activities.json", **asked)["success"]
        api.sign_in()
        assert len(api.get("activities.json", **asked)["result"]) == 300


@pytest.mark.parametrize("in_activities", [True, False])
def test_deletes_come_from_their_own_stream_and_from_that_of_activities_unless_switched_off(
    in_activities: bool,
) -> None:
    with emulated(deletes_in_activities=in_activities) as (emulator, api):
        emulator.fill(350, duplicate_share=0)
        names = delete_all(api)
        emulator.add_activities(VISIT, range(1, 1_001), START)
        assert len(api.activities(START, 37)) == 350 * in_activities
        assert [activity["activityTypeId"] for activity in api.activities(START, 37, VISIT)] == [
            *[37] * 350 * in_activities,
            *[VISIT] * 1_000,
        ]
        first = api.get("activities/deletedleads.json", nextPageToken=api.paging_token(START))
        second = api.get("activities/deletedleads.json", nextPageToken=first["nextPageToken"])
        idle = api.get("activities/deletedleads.json", nextPageToken=second["nextPageToken"], batchSize="10")
    assert (len(first["result"]), first["moreResult"]) == (300, True)
    assert (len(second["result"]), second["moreResult"]) == (50, False)
    assert set(idle) == {"requestId", "success", "nextPageToken", "moreResult"}
    deleted = [*first["result"], *second["result"]]
    assert {record["leadId"]: record["primaryAttributeValue"] for record in deleted} == names
    assert all(record["activityTypeId"] == 37 and record["attributes"] == [] for record in deleted)


def delete_all(api: Api) -> dict[int, str]:
    names = {}
    for start in (1, 301):
        wanted = ",".join(map(str, range(start, start + 300)))
        for lead in api.get("leads.json", filterType="id", filterValues=wanted)["result"]:
            names[lead["id"]] = f"{lead['firstName']} {lead['lastName']}"
        api.post("leads/delete.json", {"input": [{"id": lead_id} for lead_id in names if lead_id >= start]})
    return names
