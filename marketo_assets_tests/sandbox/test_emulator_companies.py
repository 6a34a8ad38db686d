"""Guards companies: which row is which company, what is refused and how, what is read back, and for how long."""

from pathlib import Path
from typing import Any

import pytest
import requests

from marketo_assets.marketo.clock import VirtualClock
from marketo_assets.sandbox.marketo import COMPANY, Fault
from marketo_assets_tests.sandbox.emulator_calls import START, code, codes, emulated
from marketo_assets_tests.sandbox.record_calls import delete, find, put, put_companies

ACME = {"externalCompanyId": "A1", "company": "ACME", "numberOfEmployees": "7"}


def test_describe_says_how_companies_are_told_apart_and_what_they_have() -> None:
    with emulated() as (_, api):
        (described,) = api.get("companies/describe.json")["result"]
        lead_fields = {field["rest"]["name"]: field for field in api.get("leads/describe.json")["result"]}
    assert (described["name"], described["idField"]) == ("Company", "id")
    assert described["dedupeFields"] == ["externalCompanyId"]
    assert described["searchableFields"] == [["externalCompanyId"], ["id"], ["company"]]
    fields = {field["name"]: field for field in described["fields"]}
    assert fields["externalCompanyId"]["updateable"] is False
    assert (fields["externalCompanyId"]["length"], lead_fields["externalCompanyId"]["length"]) == (100, 50)
    assert {name for name, field in fields.items() if not field["updateable"]} == {
        "id",
        "createdAt",
        "updatedAt",
        "externalCompanyId",
    }
    assert {"company", "industry", "annualRevenue", "billingCity"} < fields.keys()
    assert "firstName" not in fields
    assert fields.keys() - {"createdAt", "updatedAt"} <= lead_fields.keys()


def test_create_update_and_read_back() -> None:
    clock = VirtualClock(START)
    with emulated(clock) as (_, api):
        assert put(api, "companies", ACME) == [{"seq": 0, "status": "created", "id": 1}]
        clock.advance(5)
        rows = [{"externalCompanyId": "a1", "industry": "Anvils"}, {"externalCompanyId": "B1"}]
        assert put(api, "companies", *rows) == [
            {"seq": 0, "status": "updated", "id": 1},
            {"seq": 1, "status": "created", "id": 2},
        ]
        assert find(api, "companies", "externalCompanyId", "A1", fields="company,industry,numberOfEmployees,site") == [
            {"seq": 0, "id": 1, "company": "ACME", "industry": "Anvils", "numberOfEmployees": 7}
        ]
        assert find(api, "companies", "dedupeFields", "A1", "none") == [
            {
                "seq": 0,
                "id": 1,
                "externalCompanyId": "A1",
                "createdAt": "2026-05-28T20:26:40Z",
                "updatedAt": "2026-05-28T20:26:45Z",
            }
        ]
        assert find(api, "companies", "id", 9) == find(api, "companies", "idField", "x") == []


def test_null_and_an_empty_text_are_stored_as_nothing() -> None:
    with emulated() as (_, api):
        put(api, "companies", ACME | {"site": "Berlin", "industry": "Anvils"})
        put(api, "companies", {"externalCompanyId": "A1", "site": None, "industry": "", "company": "ACME 2"})
        (company,) = find(api, "companies", "id", 1, fields="site,industry,company")
    assert company == {"seq": 0, "id": 1, "company": "ACME 2"}


def test_every_action() -> None:
    row = {"externalCompanyId": "A1"}
    with emulated() as (_, api):
        assert codes(put(api, "companies", row, action="updateOnly")) == ["1013"]
        assert codes(put(api, "companies", row, action="createOnly")) == ["created"]
        assert codes(put(api, "companies", row, action="createOnly")) == ["1017"]
        assert codes(put(api, "companies", row, action="createOrUpdate")) == ["updated"]
        assert codes(put(api, "companies", row, action="updateOnly")) == ["updated"]
        assert code(api.post("companies.json", {"action": "createDuplicate", "input": [row]})) == "1001"
        assert code(api.post("companies.json", {"dedupeBy": "company", "input": [row]})) == "1003"


def test_by_id_companies_are_updated_alone_and_keep_their_key() -> None:
    by_id = {"dedupeBy": "idField", "action": "updateOnly"}
    with emulated() as (_, api):
        put(api, "companies", ACME)
        rows: list[dict[str, Any]] = [
            {"id": 1, "company": "New", "externalCompanyId": "A1"},
            {"id": 2, "company": "x"},
            {"company": "x"},
            {"id": "1", "company": "again"},
        ]
        assert codes(put(api, "companies", *rows, **by_id)) == ["updated", "1013", "1003", "1036"]
        assert codes(put(api, "companies", {"id": 1, "externalCompanyId": "A2"}, **by_id)) == ["1003"]
        assert codes(put(api, "companies", {"id": 1, "externalCompanyId": "A1"})) == ["1003"]
        assert code(api.post("companies.json", {"dedupeBy": "idField", "input": [{"id": 1}]})) == "1003"
        assert find(api, "companies", "id", 1, fields="company")[0]["company"] == "New"


def test_one_bad_row_leaves_the_others_alone_and_seq_is_the_place_in_the_input() -> None:
    with emulated() as (emulator, api):
        rows: list[dict[str, Any]] = [
            {"externalCompanyId": "A1"},
            {"externalCompanyId": "A2", "shoeSize": 1},
            {"externalCompanyId": "A3", "firstName": "of leads alone"},
            {"externalCompanyId": "A4", "numberOfEmployees": "many"},
            {"externalCompanyId": "A5", "company": "x" * 256},
            {"externalCompanyId": "A6", "company": ["x"]},
            {"externalCompanyId": "A7", "createdAt": "2026-01-01T00:00:00Z"},
            {"externalCompanyId": "x" * 101},
            {"externalCompanyId": ""},
            {"company": "no key"},
            {"externalCompanyId": "a1", "company": "twice"},
            {"externalCompanyId": "A8"},
        ]
        result = put(api, "companies", *rows)
        kept = [company["externalCompanyId"] for company in emulator.records(COMPANY)]
    assert codes(result) == [
        *("created", "1006", "1006", "1003", "1003", "1001"),
        *("1003", "1003", "1003", "1003", "1036", "created"),
    ]
    assert [row["seq"] for row in result] == list(range(12))
    assert all("id" not in row for row in result if row["status"] == "skipped")
    assert kept == ["A1", "A8"]


def test_what_changes_nothing_leaves_the_time_of_the_last_change() -> None:
    clock = VirtualClock(START)
    with emulated(clock) as (emulator, api):
        put(api, "companies", ACME)
        clock.advance(60)
        assert codes(put(api, "companies", ACME)) == ["updated"]
        (company,) = emulator.records(COMPANY)
    assert company["updatedAt"] == "2026-05-28T20:26:40Z"


@pytest.mark.parametrize("method_in", ["get", "query", "form"])
def test_pages_by_name_in_every_way_to_ask(method_in: str) -> None:
    with emulated() as (_, api):
        put_companies(api, **{f"K{number}": "Müller" if number % 2 else "Other" for number in range(20)})
        asked = {"filterType": "company", "filterValues": "MüLLER,nobody", "batchSize": "4"}
        found, token, more = [], "", True
        while more:
            asked["nextPageToken"] = token
            if method_in == "get":
                page = api.get("companies.json", **asked)
            elif method_in == "query":
                page = api.form("companies.json", asked, _method="GET")
            else:
                page = api.form("companies.json", {**asked, "_method": "GET"})
            found += [(company["seq"], company["externalCompanyId"]) for company in page["result"]]
            token, more = page.get("nextPageToken", ""), page.get("moreResult", False)
            assert bool(token) == more
    assert [key for _, key in found] == [f"K{number}" for number in range(1, 20, 2)]
    assert [seq for seq, _ in found] == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]


def test_questions_that_cannot_be() -> None:
    with emulated() as (_, api):
        for filter_type, expected in (("nope", "1006"), ("industry", "1011"), ("updatedAt", "1011")):
            assert code(api.get("companies.json", filterType=filter_type, filterValues="x")) == expected
        assert code(api.get("companies.json", filterValues="x")) == "1002"
        assert code(api.get("companies.json", filterType="id")) == "1002"
        assert code(api.get("companies.json", filterType="id", filterValues="1", fields="nope")) == "1006"
        assert code(api.get("companies.json", filterType="id", filterValues="1", nextPageToken="GIYDAOBN")) == "1003"
        many = {"filterType": "id", "filterValues": ",".join(map(str, range(301)))}
        assert code(api.form("companies.json", many, _method="GET")) == "1003"
        assert code(api.post("companies.json", {"input": [ACME] * 301})) == "1003"
        assert code(api.post("companies.json", {})) == "1002"
        assert code(api.delete("companies.json")) == "605"


def test_delete_by_key_and_by_id() -> None:
    with emulated() as (emulator, api):
        put_companies(api, A1="A", B1="B", C1="C")
        rows = [{"externalCompanyId": "a1"}, {"externalCompanyId": "Z9"}, {"company": "B"}, {"externalCompanyId": "A1"}]
        result = delete(api, "companies", *rows)
        assert codes(result) == ["deleted", "1013", "1003", "1036"]
        assert result[0] == {"seq": 0, "status": "deleted", "id": 1}
        assert result[1]["reasons"][0]["message"] == "Record not found"
        assert codes(delete(api, "companies", {"id": 2}, {"id": 1}, deleteBy="idField")) == ["deleted", "1013"]
        assert [company["id"] for company in emulator.records(COMPANY)] == [3]
        assert put_companies(api, A1="again") == [{"seq": 0, "status": "created", "id": 4}]
        assert code(api.post("companies/delete.json", {"deleteBy": "name", "input": [{"id": 3}]})) == "1003"


def test_with_a_native_crm_companies_can_be_read_alone() -> None:
    with emulated(native_crm=True) as (emulator, api):
        emulator.put_records(COMPANY, [ACME])
        assert code(api.post("companies.json", {"input": [ACME]})) == "1018"
        assert code(api.post("companies/delete.json", {"input": [ACME]})) == "1018"
        assert find(api, "companies", "company", "acme")[0]["externalCompanyId"] == "A1"


def test_fields_of_companies_and_leads_one_by_one() -> None:
    with emulated() as (_, api):
        page = api.get("companies/schema/fields.json", batchSize="3")
        rest = api.get("companies/schema/fields.json", nextPageToken=page["nextPageToken"])
        (revenue,) = api.get("companies/schema/fields/annualRevenue.json")["result"]
        assert code(api.get("companies/schema/fields/firstName.json")) == "1006"
        (first_name,) = api.get("leads/schema/fields/firstName.json")["result"]
        assert len(api.get("leads/schema/fields.json")["result"]) == 91 + 56
    assert (page["moreResult"], rest["moreResult"]) == (True, False)
    names = [field["name"] for field in page["result"] + rest["result"]]
    assert len(names) == len(set(names)) == 15
    assert (revenue["dataType"], revenue["isCustom"], "length" in revenue) == ("currency", False, False)
    assert (first_name["displayName"], first_name["length"], first_name["isHidden"]) == ("First Name", 255, False)


def test_calls_for_companies_pass_the_same_gate_as_others() -> None:
    write = "POST /rest/v1/companies.json"
    faults = [Fault(write, "error", code="604", first=1), Fault(write, "reset_after_write", every=2)]
    with emulated(faults=faults) as (emulator, api):
        assert code(api.post("companies.json", {"input": [ACME]})) == "604"
        with pytest.raises(requests.ConnectionError):
            api.post("companies.json", {"input": [ACME]})
        assert codes(put(api, "companies", ACME)) == ["updated"]
        assert (emulator.calls(), emulator.errors()) == (2, {"604": 1})
        api.session.headers["Authorization"] = "Bearer nobody"
        assert code(api.get("companies/describe.json")) == "601"
    with emulated(rate=(1, 20.0)) as (_, api):
        assert find(api, "companies", "id", 1) == []
        assert code(api.get("companies/describe.json")) == "606"


def test_companies_and_their_ids_survive_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite"
    with emulated(state=state) as (_, api):
        put_companies(api, A1="A", B1="B")
        delete(api, "companies", {"id": 2}, deleteBy="idField")
    with emulated(state=state) as (_, api):
        assert find(api, "companies", "company", "a")[0]["id"] == 1
        assert put_companies(api, B1="B") == [{"seq": 0, "status": "created", "id": 3}]
