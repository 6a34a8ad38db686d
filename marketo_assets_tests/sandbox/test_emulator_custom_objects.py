"""Guards custom objects: keys of one and of several fields, links that lead nowhere, and how they are read back."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from marketo_assets.marketo.clock import VirtualClock
from marketo_assets.sandbox.marketo import COMPANY, LEAD, ObjectField, ObjectLink, ObjectType
from marketo_assets_tests.sandbox.emulator_calls import START, Api, code, codes, emulated
from marketo_assets_tests.sandbox.record_calls import (
    ADA,
    BADGE,
    BOB,
    PET,
    TYPES,
    VISIT,
    delete,
    find,
    put,
    put_companies,
)

PETS, VISITS, BADGES = "customobjects/pet_c", "customobjects/visit_c", "customobjects/badge_c"


def test_the_types_and_their_description() -> None:
    with emulated(custom_objects=TYPES) as (_, api):
        listed = api.get("customobjects.json")["result"]
        assert [each["name"] for each in api.get("customobjects.json", names="badge_c,pet_c")["result"]] == [
            "pet_c",
            "badge_c",
        ]
        (pet,) = api.get(f"{PETS}/describe.json")["result"]
        (visit,) = api.get(f"{VISITS}/describe.json")["result"]
    assert [each["name"] for each in listed] == ["pet_c", "visit_c", "badge_c"]
    assert all("fields" not in each for each in listed)
    assert {key: pet[key] for key in ("idField", "dedupeFields", "searchableFields", "relationships")} == {
        "idField": "marketoGUID",
        "dedupeFields": ["petId"],
        "searchableFields": [["petId"], ["marketoGUID"], ["owner"]],
        "relationships": [
            {"field": "owner", "type": "child", "relatedTo": {"name": "Lead", "field": "email"}},
            {"field": "petId", "type": "parent", "relatedTo": {"name": "visit_c", "field": "pet"}},
        ],
    }
    fields = {field.pop("name"): field for field in pet["fields"]}
    assert fields["name"] == {"displayName": "Name", "dataType": "string", "length": 10, "updateable": True}
    assert fields["petId"] == {"displayName": "Pet Id", "dataType": "integer", "updateable": False}
    assert fields["marketoGUID"]["length"] == 36
    assert visit["searchableFields"] == [["lead", "pet"], ["marketoGUID"], ["lead"], ["pet"]]


def test_create_update_and_read_back_in_every_way() -> None:
    clock = VirtualClock(START)
    with emulated(clock, custom_objects=TYPES) as (_, api):
        api.sync({"email": ADA})
        (created,) = put(api, PETS, {"petId": 7, "owner": ADA, "name": "Rex", "tame": "true", "born": ""})
        guid = created["marketoGUID"]
        assert created == {"seq": 0, "status": "created", "marketoGUID": str(UUID(guid))}
        clock.advance(1)
        assert put(api, PETS, {"petId": "7", "name": "Rexy"}) == [{"seq": 0, "status": "updated", "marketoGUID": guid}]
        seen = {"seq": 0, "marketoGUID": guid, "petId": 7, "owner": ADA, "name": "Rexy", "tame": True}
        for filter_type, value in (("petId", "7"), ("dedupeFields", 7), ("idField", guid), ("owner", ADA.upper())):
            assert find(api, PETS, filter_type, value, fields="petId,owner,name,tame,born") == [seen]
        assert find(api, PETS, "marketoGuid", guid) == [
            {
                "seq": 0,
                "marketoGUID": guid,
                "petId": 7,
                "createdAt": "2026-05-28T20:26:40Z",
                "updatedAt": "2026-05-28T20:26:41Z",
            }
        ]
        assert find(api, PETS, "petId", 8, "x") == []


@pytest.mark.parametrize("spelling", ["marketoGUID", "marketoGuid"])
def test_by_guid_objects_are_updated_and_deleted(spelling: str) -> None:
    with emulated(custom_objects=TYPES) as (emulator, api):
        guid = put(api, PETS, {"petId": 7})[0]["marketoGUID"]
        by_id = {"dedupeBy": "idField", "action": "updateOnly"}
        rows = [{spelling: guid, "name": "Rex"}, {spelling: "none"}, {spelling: guid.upper()}, {"name": "x"}]
        assert codes(put(api, PETS, *rows, **by_id)) == ["updated", "1013", "1036", "1003"]
        assert codes(put(api, PETS, {spelling: guid, "petId": 8}, **by_id)) == ["1003"]
        assert code(api.post(f"{PETS}.json", {"dedupeBy": "idField", "input": rows})) == "1003"
        assert [pet["name"] for pet in emulator.records("pet_c")] == ["Rex"]
        assert codes(delete(api, PETS, {spelling: guid}, {"petId": 9}, deleteBy="idField")) == ["deleted", "1003"]


def test_a_compound_key_tells_records_apart_by_all_its_parts() -> None:
    with emulated(custom_objects=TYPES) as (_, api):
        _make(api)
        rows = [{"lead": lead, "pet": pet, "note": f"{lead}/{pet}"} for lead in (1, 2) for pet in (7, 8)]
        assert codes(put(api, VISITS, *rows)) == ["created"] * 4
        again: list[dict[str, Any]] = [{"lead": "1", "pet": "8", "note": "new"}, {"lead": 1}, {"pet": 8, "lead": 1}]
        assert codes(put(api, VISITS, *again)) == ["updated", "1003", "1036"]
        keys = [{"lead": 1, "pet": 8}, {"lead": 2, "pet": "7"}, {"lead": 9, "pet": 9}]
        asked = {"filterType": "dedupeFields", "fields": ["note"], "input": keys}
        reply = api.post(f"{VISITS}.json", asked, _method="GET")
        assert [(row["seq"], row["note"]) for row in reply["result"]] == [(0, "new"), (1, "2/7")]
        assert codes(delete(api, VISITS, {"lead": 1, "pet": 8}, {"lead": 1, "pet": 8}, {"lead": 1})) == [
            "deleted",
            "1036",
            "1003",
        ]
        assert [visit["pet"] for visit in find(api, VISITS, "lead", 1, fields="pet")] == [7]
        assert code(api.get(f"{VISITS}.json", filterType="dedupeFields", filterValues="1,8")) == "1003"
        assert code(api.post(f"{VISITS}.json", {"input": [{"lead": 1}]}, _method="GET")) == "1003"


def test_compound_keys_are_paged_with_the_same_input() -> None:
    with emulated(custom_objects=TYPES) as (_, api):
        _make(api)
        keys = [{"lead": lead, "pet": pet} for lead in (1, 2) for pet in (7, 8)]
        put(api, VISITS, *keys)
        asked: dict[str, Any] = {"filterType": "dedupeFields", "fields": ["lead", "pet"], "input": keys, "batchSize": 3}
        first = api.post(f"{VISITS}.json", asked, _method="GET")
        in_query = api.post(f"{VISITS}.json", asked, _method="GET", nextPageToken=first["nextPageToken"])
        in_body = api.post(f"{VISITS}.json", asked | {"nextPageToken": first["nextPageToken"]}, _method="GET")
        other = api.post(
            f"{VISITS}.json", asked | {"nextPageToken": first["nextPageToken"], "input": keys[:1]}, _method="GET"
        )
    assert [(row["lead"], row["pet"]) for row in first["result"]] == [(1, 7), (1, 8), (2, 7)]
    assert first["moreResult"] is True
    assert [(row["lead"], row["pet"]) for row in in_query["result"]] == [(2, 8)]
    assert in_body["result"] == in_query["result"]
    assert code(other) == "1003"


def test_a_link_that_leads_nowhere_skips_its_row() -> None:
    with emulated(custom_objects=TYPES) as (_, api):
        _make(api)
        rows: list[dict[str, Any]] = [
            {"petId": 1, "owner": "nobody@example.test"},
            {"petId": 2, "owner": ADA},
            {"petId": 3, "owner": None},
        ]
        result = put(api, PETS, *rows)
        assert codes(result) == ["1004", "created", "created"]
        assert result[0]["reasons"] == [{"code": "1004", "message": "Lead not found"}]
        visits = [{"lead": 9, "pet": 7}, {"lead": 1, "pet": 99}, {"lead": 1, "pet": 7}]
        assert codes(put(api, VISITS, *visits)) == ["1004", "1013", "created"]
        put_companies(api, A1="ACME")
        badges = [{"code": "x", "firm": "a1"}, {"code": "y", "firm": "Z9"}]
        assert codes(put(api, BADGES, *badges)) == ["created", "1013"]
        assert codes(put(api, PETS, {"petId": 2, "owner": "nobody@example.test"})) == ["1004"]


def test_a_link_by_e_mail_is_to_all_who_have_it_and_is_lost_with_the_last() -> None:
    with emulated(custom_objects=TYPES) as (emulator, api):
        api.sync({"email": ADA}, {"email": ADA}, action="createDuplicate")
        assert codes(put(api, PETS, {"petId": 1, "owner": ADA})) == ["created"]
        api.post("leads/delete.json", id="1")
        assert codes(put(api, PETS, {"petId": 1, "owner": ADA})) == ["updated"]
        api.post("leads/delete.json", id="2")
        assert codes(put(api, PETS, {"petId": 1, "owner": ADA}, {"petId": 2, "owner": ADA})) == ["1004", "1004"]
        assert codes(put(api, PETS, {"petId": 1, "name": "Rex"})) == ["updated"]
        assert [(pet["owner"], pet["name"]) for pet in emulator.records("pet_c")] == [(ADA, "Rex")]


def test_bad_rows_get_the_reasons_that_leads_get() -> None:
    with emulated(custom_objects=TYPES) as (_, api):
        rows: list[dict[str, Any]] = [
            {"petId": "seven"},
            {"petId": 1, "name": "longer than ten"},
            {"petId": 2, "Name": "names are case-sensitive"},
            {"petId": 3, "tame": "maybe"},
            {"petId": 4, "born": "soon"},
            {"petId": 5, "name": {}},
            {"petId": 6, "marketoGUID": "x"},
            {"petId": 7, "updatedAt": "2026-01-01T00:00:00Z"},
            {"petId": None},
        ]
        result = put(api, PETS, *rows)
        assert codes(result) == ["1003", "1003", "1006", "1003", "1003", "1001", "1003", "1003", "1003"]
        assert result[1]["reasons"][0]["message"] == "Invalid value for field 'name' and value 'longer than ten'"


def test_nothing_is_stored_as_nothing_where_leads_have_false() -> None:
    with emulated(custom_objects=TYPES) as (_, api):
        for nothing in (None, ""):
            put(api, PETS, {"petId": 1, "tame": True})
            assert find(api, PETS, "petId", 1, fields="tame")[0]["tame"] is True
            put(api, PETS, {"petId": 1, "tame": nothing})
            assert "tame" not in find(api, PETS, "petId", 1, fields="tame")[0]


@pytest.mark.parametrize("path", ["customobjects/none_c", "customobjects/PET_C", "customobjects/Company"])
def test_a_type_that_is_not_there(path: str) -> None:
    with emulated(custom_objects=TYPES) as (_, api):
        for reply in (
            api.get(f"{path}/describe.json"),
            api.get(f"{path}.json", filterType="petId", filterValues="1"),
            api.post(f"{path}.json", {"input": [{"petId": 1}]}),
            api.post(f"{path}/delete.json", {"input": [{"petId": 1}]}),
        ):
            assert code(reply) == "1013"
        assert api.get("customobjects.json", names="none_c")["result"] == []
        assert code(api.get("customobjects/schema.json")) == "610"


def test_objects_and_their_ids_survive_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite"
    with emulated(state=state, custom_objects=TYPES) as (emulator, api):
        put(api, PETS, {"petId": 1, "name": "Rex"})
        (before,) = emulator.records("pet_c")
    with emulated(state=state, custom_objects=TYPES) as (emulator, api):
        assert list(emulator.records("pet_c")) == [before]
        assert codes(put(api, PETS, {"petId": 1, "name": "Rexy"})) == ["updated"]


def test_a_program_can_do_what_a_call_can() -> None:
    with emulated(custom_objects=TYPES) as (emulator, api):
        rows = [{"petId": 1, "name": "Rex"}, {"petId": 2, "owner": ADA}]
        assert codes(emulator.put_records("pet_c", rows)) == ["created", "1004"]
        assert find(api, PETS, "petId", 1, fields="name")[0]["name"] == "Rex"
        assert codes(emulator.delete_records("pet_c", [{"petId": 1}])) == ["deleted"]
        with pytest.raises(KeyError):
            emulator.put_records("none_c", rows)
        assert emulator.calls() == 1


@pytest.mark.parametrize(
    ("problem", "parts"),
    [
        ("no field is called b", {"dedupe_fields": ("b",)}),
        ("1 to 3 dedupe fields", {"dedupe_fields": ()}),
        ("a field is there already: createdAt", {"fields": (ObjectField("a", "A"), ObjectField("createdAt", "X"))}),
        ("a field is there already: a", {"fields": (ObjectField("a", "A"), ObjectField("a", "X"))}),
        ("names are letters", {"name": "1st"}),
        ("dataType must be one of", {"fields": (ObjectField("a", "A", "colour"),)}),
        ("no field is called b", {"links": (ObjectLink("b", LEAD, "email"),)}),
        ("cannot be hidden", {"fields": (ObjectField("a", "A", hidden=True),)}),
        ("is no custom object", {"name": COMPANY}),
        ("more than 50 fields", {"fields": tuple(ObjectField(f"a{n or ''}", "A") for n in range(51))}),
    ],
)
def test_a_definition_that_cannot_be(problem: str, parts: dict[str, Any]) -> None:
    good = {"name": "a_c", "display_name": "A", "fields": (ObjectField("a", "A"),), "dedupe_fields": ("a",)}
    with emulated() as (emulator, _), pytest.raises(ValueError, match=problem):
        emulator.put_custom_object(ObjectType(**(good | parts)))


def test_there_are_ten_types_at_most() -> None:
    with emulated(custom_objects=TYPES) as (emulator, _):
        for number in range(7):
            emulator.put_custom_object(ObjectType(f"t{number}_c", "T", BADGE.fields, BADGE.dedupe_fields))
        emulator.put_custom_object(PET)
        with pytest.raises(ValueError, match="10 custom object types"):
            emulator.put_custom_object(ObjectType("t8_c", "T", VISIT.fields, VISIT.dedupe_fields))


def _make(api: Api) -> None:
    """Two leads and two pets."""
    api.sync({"email": ADA}, {"email": BOB})
    put(api, PETS, {"petId": 7, "owner": ADA}, {"petId": 8, "owner": BOB})
