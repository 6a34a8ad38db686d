"""Guards the activity types: views and drift checks are built from this list alone, so it has to fit the activities."""

import json
from dataclasses import asdict
from typing import Any

import pytest

from marketo_assets.sandbox.marketo import ActivityAttribute, ActivityType, Emulator, EmulatorOptions
from marketo_assets.sandbox.marketo.activity_types import SHORT_LIVED_TYPES
from marketo_assets.sandbox.marketo_server import read_options
from marketo_assets_tests.sandbox.emulator_calls import START, Api, code, emulated

WEBINAR = ActivityType(
    100_001,
    "Attend Webinar",
    "Lead attends a webinar",
    ActivityAttribute("Webinar", "string", "webinar"),
    (ActivityAttribute("Minutes", "integer", "minutes"), ActivityAttribute("Rating", "float", "rating")),
    "attendWebinar_c",
)


def types(api: Api) -> dict[int, dict[str, Any]]:
    return {entry["id"]: entry for entry in api.get("activities/types.json")["result"]}


def test_the_standard_types_are_there_as_recorded() -> None:
    with emulated() as (_, api):
        known = types(api)
    assert len(known) >= 35
    assert len({entry["name"] for entry in known.values()}) == len(known)
    assert set(known) >= SHORT_LIVED_TYPES
    assert known[1] == {
        "id": 1,
        "name": "Visit Webpage",
        "description": "User visits a web page",
        "primaryAttribute": {"name": "Webpage ID", "dataType": "integer"},
        "attributes": [
            {"name": name, "dataType": "string"}
            for name in ("Client IP Address", "Query Parameters", "Referrer URL", "User Agent")
        ]
        + [{"name": name, "dataType": "string"} for name in ("Search Engine", "Search Query", "Webpage URL")],
    }
    assert {"name": "Has Predictive", "dataType": "boolean"} in known[6]["attributes"]


def test_every_entry_carries_what_the_published_description_requires() -> None:
    with emulated(custom_activity_types=(WEBINAR,)) as (_, api):
        for entry in types(api).values():
            assert {"id", "name", "attributes"} <= set(entry)
            # required there too, but two types have none: clients have to live without it
            assert ("primaryAttribute" in entry) == (entry["name"] not in {"New Lead", "Delete Lead"})
            for attribute in [*entry["attributes"], entry.get("primaryAttribute", {"name": "", "dataType": ""})]:
                assert {"name", "dataType"} <= set(attribute)


def test_no_attribute_of_a_type_is_named_twice() -> None:
    with emulated() as (_, api):
        for entry in types(api).values():
            names = [attribute["name"] for attribute in entry["attributes"]]
            assert len(set(names)) == len(names), entry["name"]


def test_every_attribute_of_an_activity_is_one_of_its_type_but_the_recorded_stray() -> None:
    with emulated(rate=None) as (emulator, api):
        write_everything(api)
        emulator.fill(5)
        emulator.fill_activities(3_000, 3)
        known = {
            type_id: {attribute["name"] for attribute in entry["attributes"]} for type_id, entry in types(api).items()
        }
        seen = list(emulator.activities())
    strays = {
        attribute["name"]
        for activity in seen
        for attribute in activity["attributes"]
        if attribute["name"] not in known[activity["activityTypeId"]]
    }
    assert strays == {"Campaign"}
    assert len({activity["activityTypeId"] for activity in seen}) > 25


def test_custom_types_come_with_their_api_names_and_can_be_extracted() -> None:
    with emulated(custom_activity_types=(WEBINAR,)) as (emulator, api):
        assert types(api)[100_001] == {
            "id": 100_001,
            "name": "Attend Webinar",
            "apiName": "attendWebinar_c",
            "description": "Lead attends a webinar",
            "primaryAttribute": {"name": "Webinar", "apiName": "webinar", "dataType": "string"},
            "attributes": [
                {"name": "Minutes", "apiName": "minutes", "dataType": "integer"},
                {"name": "Rating", "apiName": "rating", "dataType": "float"},
            ],
        }
        emulator.add_activities(100_001, [7], START, attributes={"Minutes": 45}, primary="Spring")
        (activity,) = api.activities(START, 100_001)
    assert (activity["primaryAttributeValue"], activity["attributes"]) == ("Spring", [{"name": "Minutes", "value": 45}])


def test_a_type_may_come_change_and_go_while_the_instance_runs() -> None:
    with emulated() as (emulator, api):
        before = types(api)
        emulator.put_activity_type(WEBINAR)
        retyped = ActivityType(100_001, "Attend Webinar", attributes=(ActivityAttribute("Minutes", "string"),))
        assert set(types(api)) - set(before) == {100_001}
        emulator.put_activity_type(retyped)
        assert types(api)[100_001]["attributes"] == [{"name": "Minutes", "dataType": "string"}]
        emulator.add_activities(100_001, [7], START)
        emulator.remove_activity_type(100_001)
        assert types(api) == before
        reply = api.get("activities.json", nextPageToken=api.paging_token(START), activityTypeIds="100001")
        assert code(reply) == "1003"
        with pytest.raises(KeyError):
            emulator.remove_activity_type(100_001)
        assert count(emulator, 100_001) == 1


def test_custom_types_get_into_the_process_of_the_sandbox() -> None:
    options = EmulatorOptions(custom_activity_types=(WEBINAR, ActivityType(100_002, "Bare")), faults=[])
    assert read_options(json.loads(json.dumps(asdict(options)))) == options


def write_everything(api: Api) -> None:
    api.sync({"email": "a@example.test"}, {"email": "b@example.test", "lastName": "B"}, {"email": "c@example.test"})
    api.sync({"email": "a@example.test", "city": "Ulm"})
    api.post("lists/1001/leads.json", id="1")
    api.delete("lists/1001/leads.json", {"input": [{"id": 1}]})
    api.post("leads/1/merge.json", leadIds="2")
    api.post("leads/delete.json", id="3")


def count(emulator: Emulator, type_id: int) -> int:
    return len(list(emulator.activities(type_id)))
