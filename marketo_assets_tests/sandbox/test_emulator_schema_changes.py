"""Guards schemas that change while all is running: a sync has to cope with fields and types that come and go."""

from dataclasses import replace
from pathlib import Path

import pytest

from marketo_assets.marketo.clock import VirtualClock
from marketo_assets.sandbox.marketo import Field, ObjectField
from marketo_assets_tests.sandbox.emulator_calls import START, Api, code, codes, emulated
from marketo_assets_tests.sandbox.export_calls import Bulk
from marketo_assets_tests.sandbox.record_calls import ADA, BOB, PET, TYPES, changes, find, put, put_companies

SHOE_SIZE = Field(3001, "shoeSize", "Shoe Size", "integer")
PETS = "customobjects/pet_c"


def test_a_lead_field_that_is_added() -> None:
    with emulated() as (emulator, api):
        emulator.fill(3, duplicate_share=0)
        row = {"email": ADA, "shoeSize": "42"}
        assert codes(api.sync(row)) == ["1006"]
        emulator.put_lead_field(SHOE_SIZE)
        assert _described(api)["shoeSize"] == "Shoe Size"
        assert codes(api.sync(row)) == ["created"]
        assert api.lead(1, "shoeSize")["shoeSize"] is None
        found = api.get("leads.json", filterType="shoeSize", filterValues="42", fields="shoeSize")["result"]
        assert [lead["shoeSize"] for lead in found] == [42]


def test_a_lead_field_that_is_hidden_and_shown_again() -> None:
    with emulated() as (emulator, api):
        api.sync({"email": ADA, "city": "Paris"})
        token = api.paging_token(START)
        city = emulator.lead_field("city")
        emulator.put_lead_field(replace(city, hidden=True))
        assert "city" not in _described(api)
        assert "city" not in {field["name"] for field in api.get("leads/describe2.json")["result"][0]["fields"]}
        assert codes(api.sync({"email": ADA, "city": "Rome"})) == ["1006"]
        assert code(api.get("lead/1.json", fields="city")) == "1006"
        assert code(api.get("activities/leadchanges.json", nextPageToken=token, fields="city")) == "1006"
        assert Bulk(api, "leads").create(fields=["city"])["errors"][0]["code"] == "1003"
        assert api.get("leads/schema/fields/city.json")["result"][0]["isHidden"] is True
        emulator.put_lead_field(city)
        assert api.lead(1, "city")["city"] == "Paris"


def test_a_lead_field_that_gets_other_names() -> None:
    with emulated() as (emulator, api):
        emulator.put_lead_field(SHOE_SIZE)
        api.sync({"email": ADA, "shoeSize": 42})
        emulator.put_lead_field(replace(SHOE_SIZE, name="footSize", display_name="Foot Size"))
        emulator.put_lead_field(replace(emulator.lead_field("city"), display_name="Town"))
        assert "shoeSize" not in _described(api)
        assert (_described(api)["footSize"], _described(api)["city"]) == ("Foot Size", "Town")
        assert codes(api.sync({"email": ADA, "shoeSize": 1}, {"email": ADA, "footSize": 43})) == ["1006", "updated"]
        assert changes(api, START) == [(1, "Foot Size", 42, 43)]


def test_a_lead_field_that_gets_another_type_keeps_what_fits() -> None:
    with emulated() as (emulator, api):
        api.sync({"email": ADA, "city": "42"}, {"email": BOB, "city": "Rome"})
        emulator.put_lead_field(replace(emulator.lead_field("city"), data_type="integer", length=None))
        assert [lead["city"] for lead in emulator.leads(["city"])] == [42, None]
        assert codes(api.sync({"email": ADA, "city": "Rome"})) == ["1003"]
        emulator.put_lead_field(replace(emulator.lead_field("city"), data_type="boolean"))
        assert [lead["city"] for lead in emulator.leads(["city"])] == [False, False]


def test_an_export_of_a_field_that_was_renamed_meanwhile_has_nothing_in_it() -> None:
    clock = VirtualClock(START)
    with emulated(clock) as (emulator, api):
        emulator.put_lead_field(SHOE_SIZE)
        api.sync({"email": ADA, "shoeSize": 42})
        job = Bulk(api, "leads").started(fields=["email", "shoeSize"])
        emulator.put_lead_field(replace(SHOE_SIZE, name="footSize"))
        clock.advance(180)
        assert Bulk(api, "leads").file(job).text == f"email,shoeSize\n{ADA},null\n"


def test_lead_fields_that_cannot_be() -> None:
    with emulated() as (emulator, _):
        with pytest.raises(ValueError, match="another lead field is called 'city'"):
            emulator.put_lead_field(replace(SHOE_SIZE, name="city"))
        with pytest.raises(ValueError, match="keeps its REST name"):
            emulator.put_lead_field(replace(emulator.lead_field("email"), name="mail"))
        with pytest.raises(KeyError):
            emulator.lead_field("shoeSize")


def test_changed_lead_fields_and_their_values_survive_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite"
    with emulated(state=state) as (emulator, api):
        emulator.put_lead_field(SHOE_SIZE)
        emulator.put_lead_field(replace(emulator.lead_field("city"), display_name="Town"))
        emulator.put_lead_field(replace(emulator.lead_field("cDBCountry"), name="cDBLand", hidden=True))
        api.sync({"email": ADA, "shoeSize": 42, "city": "Rome"})
    with emulated(state=state) as (emulator, api):
        assert api.lead(1, "shoeSize", "city") == {"id": 1, "shoeSize": 42, "city": "Rome"}
        assert _described(api)["city"] == "Town"
        assert emulator.lead_field("cDBLand").hidden


def test_a_company_field_changes_with_the_lead_field() -> None:
    tier = Field(3002, "tier", "Tier", "string", 50, of_company=True)
    with emulated() as (emulator, api):
        emulator.put_lead_field(tier)
        put(api, "companies", {"externalCompanyId": "A1", "tier": "3"}, {"externalCompanyId": "B1", "tier": "top"})
        api.sync({"email": ADA, "externalCompanyId": "A1"})
        emulator.put_lead_field(replace(tier, name="rank", data_type="integer", length=None))
        found = find(api, "companies", "dedupeFields", "A1", "B1", fields="rank")
        assert [company.get("rank") for company in found] == [3, None]
        assert api.lead(1, "rank")["rank"] == 3
        assert codes(put(api, "companies", {"externalCompanyId": "B1", "tier": "x"})) == ["1006"]
        emulator.put_lead_field(replace(emulator.lead_field("industry"), hidden=True))
        assert codes(put(api, "companies", {"externalCompanyId": "B1", "industry": "x"})) == ["1006"]
        put_companies(api, A1="ACME")


def test_fields_of_a_custom_object_that_are_added_hidden_retyped_and_removed() -> None:
    clock = VirtualClock(START)
    with emulated(clock, custom_objects=TYPES) as (emulator, api):
        put(api, PETS, {"petId": 1, "name": "42", "born": "2026-01-01"}, {"petId": 2, "name": "Rex"})
        fields = {field.name: field for field in PET.fields}
        fields["colour"] = ObjectField("colour", "Colour")
        fields["name"] = replace(fields["name"], data_type="integer", length=None)
        fields["tame"] = replace(fields["tame"], hidden=True)
        del fields["born"]
        clock.advance(60)
        emulator.put_custom_object(replace(PET, fields=tuple(fields.values())))
        (described,) = api.get(f"{PETS}/describe.json")["result"]
        names = {field["name"] for field in described["fields"]}
        assert names == {"marketoGUID", "createdAt", "updatedAt", "petId", "owner", "name", "colour"}
        assert (described["createdAt"], described["updatedAt"]) == ("2026-05-28T20:26:40Z", "2026-05-28T20:27:40Z")
        rows = [{"petId": 1, field: "1"} for field in ("colour", "name", "tame", "born")]
        assert [codes(put(api, PETS, row))[0] for row in rows] == ["updated", "updated", "1006", "1006"]
        assert [pet.get("name") for pet in emulator.records("pet_c")] == [1, None]
        emulator.put_custom_object(PET)
        assert "born" not in find(api, PETS, "petId", 1, fields="born")[0]


def test_a_custom_object_type_that_is_added_and_removed_with_its_records() -> None:
    with emulated(custom_objects=TYPES[1:]) as (emulator, api):
        emulator.put_custom_object(PET)
        put(api, PETS, {"petId": 1})
        assert emulator.custom_object("pet_c") == PET
        emulator.remove_custom_object("pet_c")
        assert code(api.get(f"{PETS}/describe.json")) == "1013"
        assert code(api.post(f"{PETS}.json", {"input": [{"petId": 1}]})) == "1013"
        emulator.put_custom_object(PET)
        assert list(emulator.records("pet_c")) == []
        with pytest.raises(KeyError):
            emulator.remove_custom_object("none_c")


def test_what_tells_records_apart_stays_as_it_is() -> None:
    with emulated(custom_objects=TYPES) as (emulator, _):
        retyped = tuple(replace(field, data_type="string") for field in PET.fields)
        for other in (replace(PET, dedupe_fields=("name",)), replace(PET, fields=retyped)):
            with pytest.raises(ValueError, match="the dedupe fields stay as they are"):
                emulator.put_custom_object(other)


def _described(api: Api) -> dict[str, str]:
    """Display names by REST name."""
    return {field["rest"]["name"]: field["displayName"] for field in api.get("leads/describe.json")["result"]}
