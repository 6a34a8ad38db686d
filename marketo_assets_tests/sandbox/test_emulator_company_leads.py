"""Guards what leads have of their company: a sync that writes company fields through leads would fight the company.

And a mirror of leads would miss the changes, did they come without activities.
"""

from pathlib import Path

import orjson

from marketo_assets.marketo.clock import VirtualClock
from marketo_assets.sandbox.marketo import COMPANY, Field, Request
from marketo_assets_tests.sandbox.emulator_calls import START, codes, emulated
from marketo_assets_tests.sandbox.export_calls import Bulk
from marketo_assets_tests.sandbox.record_calls import ADA, BOB, changes, delete, put, put_companies


def test_a_linked_lead_has_the_values_of_its_company_as_its_own() -> None:
    with emulated() as (_, api):
        put(api, "companies", {"externalCompanyId": "A1", "company": "ACME", "industry": "Anvils"})
        row = {"email": ADA, "externalCompanyId": "a1", "company": "not this", "site": "nor that"}
        assert codes(api.sync(row)) == ["created"]
        assert api.lead(1, "externalCompanyId", "company", "industry", "site") == {
            "id": 1,
            "externalCompanyId": "A1",
            "company": "ACME",
            "industry": "Anvils",
            "site": None,
        }


def test_a_link_to_another_company_and_no_link_to_none() -> None:
    clock = VirtualClock(START)
    with emulated(clock) as (_, api):
        put_companies(api, A1="ACME", B1="Bolts")
        api.sync({"email": ADA, "company": "Own", "firstName": "Ada"})
        clock.advance(60)
        assert codes(api.sync({"email": ADA, "externalCompanyId": "A1"})) == ["updated"]
        assert codes(api.sync({"email": ADA, "externalCompanyId": "B1", "firstName": "A."})) == ["updated"]
        assert codes(api.sync({"email": ADA, "externalCompanyId": None})) == ["updated"]
        assert api.lead(1, "externalCompanyId", "company")["company"] == "Bolts"
        assert sorted(changes(api, clock.now()), key=str) == [
            (1, "Company Name", "ACME", "Bolts"),
            (1, "Company Name", "Own", "ACME"),
            (1, "External Company Id", "A1", "B1"),
            (1, "External Company Id", None, "A1"),
            (1, "First Name", "Ada", "A."),
        ]


def test_values_of_the_company_are_not_written_through_a_linked_lead_others_are() -> None:
    with emulated() as (emulator, api):
        put_companies(api, A1="ACME")
        api.sync({"email": ADA, "externalCompanyId": "A1"}, {"email": BOB})
        rows = [{"email": email, "company": "Mine", "title": "Dr"} for email in (ADA, BOB)]
        assert codes(api.sync(*rows)) == ["updated", "updated"]
        assert [lead["company"] for lead in emulator.leads(["company"])] == ["ACME", "Mine"]
        assert [lead["title"] for lead in emulator.leads(["title"])] == ["Dr", "Dr"]
        assert next(emulator.records(COMPANY))["company"] == "ACME"


def test_a_change_of_the_company_is_a_change_of_each_of_its_leads() -> None:
    clock = VirtualClock(START)
    with emulated(clock, rate=None) as (emulator, api):
        put_companies(api, A1="ACME", B1="Bolts")
        firms = ("A1", "A1", "B1", None)
        api.sync(*({"email": f"{number}@x.io", "externalCompanyId": firm} for number, firm in enumerate(firms)))
        clock.advance(60)
        put(api, "companies", {"externalCompanyId": "A1", "company": "ACME 2", "industry": "Anvils"})
        put(api, "companies", {"externalCompanyId": "A1", "company": "ACME 2", "industry": None})
        found = changes(api, clock.now())
        assert sorted(found[:4]) == [
            (lead, name, old, new)
            for lead in (1, 2)
            for name, old, new in (("Company Name", "ACME", "ACME 2"), ("Industry", None, "Anvils"))
        ]
        assert found[4:] == [(lead, "Industry", "Anvils", None) for lead in (1, 2)]
        page = api.get("activities/leadchanges.json", nextPageToken=api.paging_token(clock.now()), fields="company")
        told = [(change["leadId"], change["fields"][0]["newValue"]) for change in page["result"]]
        assert told == [(1, "ACME 2"), (2, "ACME 2")]
        stamps = [lead["updatedAt"] for lead in emulator.leads(["updatedAt"])]
        assert stamps == ["2026-05-28T20:27:40Z"] * 2 + ["2026-05-28T20:26:40Z"] * 2


def test_an_export_has_the_values_of_the_company_and_finds_what_it_changed() -> None:
    clock = VirtualClock(START)
    with emulated(clock) as (_, api):
        put_companies(api, A1="ACME")
        api.sync({"email": ADA, "externalCompanyId": "A1"}, {"email": BOB})
        clock.advance(86_400)
        api.sign_in()
        put_companies(api, A1="ACME 2")
        changed = {"updatedAt": {"startAt": "2026-05-29T00:00:00Z", "endAt": "2026-05-30T00:00:00Z"}}
        file = Bulk(api, "leads").exported(clock, fields=["email", "company"], filters=changed)
    assert file.decode() == f"email,company\n{ADA},ACME 2\n"


def test_a_company_that_is_not_there_skips_the_row_or_is_ignored() -> None:
    rows = [{"email": ADA, "externalCompanyId": "Z9"}, {"email": BOB}]
    with emulated() as (emulator, api):
        result = api.sync(*rows)
        assert codes(result) == ["1013", "created"]
        assert result[0]["reasons"][0]["message"] == "Company 'Z9' not found"
        assert [lead["email"] for lead in emulator.leads()] == [BOB]
    with emulated(unknown_company="ignore") as (_, api):
        assert codes(api.sync(*rows)) == ["created", "created"]
        assert api.lead(1, "externalCompanyId")["externalCompanyId"] is None


def test_a_deleted_company_leaves_its_values_and_no_link() -> None:
    clock = VirtualClock(START)
    with emulated(clock) as (_, api):
        put_companies(api, A1="ACME")
        api.sync({"email": ADA, "externalCompanyId": "A1"})
        clock.advance(60)
        delete(api, "companies", {"externalCompanyId": "A1"})
        assert changes(api, clock.now()) == [(1, "External Company Id", "A1", None)]
        put_companies(api, A1="Another")
        assert api.lead(1, "externalCompanyId", "company") == {"id": 1, "externalCompanyId": None, "company": "ACME"}
        assert codes(api.sync({"email": ADA, "company": "Mine"})) == ["updated"]
        assert api.lead(1, "company")["company"] == "Mine"
        api.sync({"email": BOB})
        assert api.post("leads/2/merge.json", leadId="1")["success"]
        assert api.lead(2, "externalCompanyId", "company") == {"id": 2, "externalCompanyId": None, "company": "Mine"}


def test_a_company_deleted_while_a_call_that_names_it_is_under_way() -> None:
    with emulated() as (emulator, api):
        put_companies(api, A1="ACME")
        headers = {"authorization": str(api.session.headers["Authorization"]), "content-type": "application/json"}
        body = orjson.dumps({"input": [{"email": ADA, "externalCompanyId": "A1", "company": "Own"}]})
        pending = emulator.begin(Request("POST", "/rest/v1/leads.json", headers=headers, body=body))
        emulator.delete_records(COMPANY, [{"externalCompanyId": "A1"}])
        reply = orjson.loads(emulator.finish(pending).body)
        assert codes(reply["result"]) == ["created"]
        assert api.lead(1, "externalCompanyId", "company") == {"id": 1, "externalCompanyId": None, "company": "Own"}


def test_a_merge_takes_the_company_the_winner_lacks_and_keeps_the_one_it_has() -> None:
    with emulated() as (_, api):
        put_companies(api, A1="ACME", B1="Bolts")
        api.sync({"email": "1@x.io", "company": "Own"}, {"email": "2@x.io", "externalCompanyId": "A1"})
        api.sync({"email": "3@x.io", "externalCompanyId": "B1", "title": "Dr"})
        assert api.post("leads/1/merge.json", leadId="2")["success"]
        assert api.lead(1, "externalCompanyId", "company") == {"id": 1, "externalCompanyId": "A1", "company": "ACME"}
        put_companies(api, A1="ACME 2")
        assert api.lead(1, "company")["company"] == "ACME 2"
        assert api.post("leads/1/merge.json", leadId="3")["success"]
        put_companies(api, B1="Bolts 2")
        assert api.lead(1, "company", "title") == {"id": 1, "company": "ACME 2", "title": "Dr"}


def test_a_custom_field_of_companies_is_one_of_leads_too() -> None:
    with emulated() as (emulator, api):
        emulator.put_lead_field(Field(3001, "tier", "Tier", "integer", of_company=True))
        emulator.put_lead_field(Field(3002, "listed", "Is Listed", "boolean", of_company=True))
        put(api, "companies", {"externalCompanyId": "A1", "tier": "3"})
        api.sync({"email": ADA, "externalCompanyId": "A1"})
        assert api.lead(1, "tier", "listed") == {"id": 1, "tier": 3, "listed": False}
        assert "tier" in {field["name"] for field in api.get("companies/describe.json")["result"][0]["fields"]}


def test_links_survive_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite"
    with emulated(state=state) as (_, api):
        put_companies(api, A1="ACME")
        api.sync({"email": ADA, "externalCompanyId": "A1"})
    with emulated(state=state) as (emulator, api):
        put_companies(api, A1="ACME 2")
        assert api.lead(1, "company")["company"] == "ACME 2"
        assert codes(api.post("leads/delete.json", id="1")["result"]) == ["deleted"]
        assert codes(put_companies(api, A1="ACME 3")) == ["updated"]
        assert emulator._instance.store.companies_of([1]) == {}
