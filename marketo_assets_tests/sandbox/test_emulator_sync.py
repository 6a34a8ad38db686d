"""Guards the upsert: which lead a row means, what every refusal looks like, what a stored value becomes."""

from typing import Any

import pytest

from marketo_assets.marketo.clock import VirtualClock
from marketo_assets_tests.sandbox.emulator_calls import START, code, codes, emulated


def test_create_then_update_by_email_in_any_case() -> None:
    with emulated() as (emulator, api):
        assert api.sync({"email": "Ada@Example.test", "firstName": "Ada"}) == [{"id": 1, "status": "created"}]
        assert api.sync({"email": "ada@example.TEST", "lastName": "Byron"}) == [{"id": 1, "status": "updated"}]
        assert api.lead(1, "firstName", "lastName") == {"id": 1, "firstName": "Ada", "lastName": "Byron"}
        assert emulator.lead_count() == 1


def test_two_leads_with_one_email_skip_as_1007_without_id_and_nothing_is_written() -> None:
    with emulated() as (_, api):
        api.sync({"email": "twin@example.test"}, {"email": "twin@example.test"}, action="createDuplicate")
        assert api.sync({"email": "twin@example.test", "firstName": "x"}) == [
            {"status": "skipped", "reasons": [{"code": "1007", "message": "Multiple lead match lookup criteria"}]}
        ]
        assert [api.lead(number, "firstName")["firstName"] for number in (1, 2)] == [None, None]


def test_every_action() -> None:
    row = {"email": "a@example.test"}
    with emulated() as (emulator, api):
        assert codes(api.sync(row, action="updateOnly")) == ["1004"]
        assert codes(api.sync(row, action="createOnly")) == ["created"]
        assert codes(api.sync(row, action="createOnly")) == ["1005"]
        assert codes(api.sync(row, action="updateOnly")) == ["updated"]
        assert codes(api.sync(row, action="createOrUpdate")) == ["updated"]
        assert codes(api.sync(row, action="createDuplicate")) == ["created"]
        assert codes(api.sync(row, action="updateOnly")) == ["1007"]
        assert codes(api.sync(row, action="createOnly")) == ["1005"]
        assert emulator.lead_count() == 2
        assert code(api.post("leads.json", {"action": "upsert", "input": [row]})) == "1001"


def test_a_key_twice_in_one_call_is_taken_in_order() -> None:
    with emulated() as (emulator, api):
        rows = [{"email": "a@example.test", "firstName": "1"}, {"email": "A@example.test", "firstName": "2"}]
        assert api.sync(*rows) == [{"id": 1, "status": "created"}, {"id": 1, "status": "updated"}]
        assert api.lead(1, "firstName")["firstName"] == "2"
        assert codes(api.sync(*rows, action="createOnly")) == ["1005", "1005"]
        assert emulator.lead_count() == 1


def test_one_bad_row_leaves_the_others_alone_and_results_keep_the_order() -> None:
    with emulated() as (emulator, api):
        result = api.sync(
            {"email": "a@example.test"},
            {"email": "b@example.test", "noSuchField": 1},
            {"email": "c@example.test", "createdAt": "2024-01-01T00:00:00Z"},
            {"firstName": "no key"},
            {"email": None, "firstName": "null key"},
            {"email": "d@example.test", "id": 5},
            {"email": "e@example.test"},
        )
        assert codes(result) == ["created", "1006", "1003", "1003", "1003", "1003", "created"]
        assert all("id" not in row for row in result if row["status"] == "skipped")
        assert result[1]["reasons"][0]["message"] == "Field 'noSuchField' not found"
        assert emulator.lead_count() == 2


def test_an_unknown_row_field_can_fail_the_whole_call() -> None:
    with emulated(unknown_row_field="response") as (emulator, api):
        rows = [{"email": "a@example.test"}, {"email": "b@example.test", "noSuchField": 1}]
        assert code(api.post("leads.json", {"input": rows})) == "1006"
        assert emulator.lead_count() == 0


@pytest.mark.parametrize(
    ("field", "value", "kept"),
    [
        ("firstName", "Zoë 🌍", "Zoë 🌍"),
        ("firstName", "é" * 255, "é" * 255),
        ("firstName", "", None),
        ("firstName", None, None),
        ("firstName", 7, "7"),
        ("firstName", "null", "null"),
        ("numberOfEmployees", "14", 14),
        ("numberOfEmployees", 0, 0),
        ("numberOfEmployees", 14.0, 14),
        ("annualRevenue", "1.5", 1.5),
        ("cDBIsPaidTier", "TRUE", True),
        ("cDBIsPaidTier", 0, False),
        ("cDBIsPaidTier", None, False),
        ("cDBZuoraCreatedDate", "2024-02-29", "2024-02-29"),
        ("cDBGitLabComCreatedDate", "2024-03-01T01:30:00+02:00", "2024-02-29T23:30:00Z"),
        ("cDBGitLabComCreatedDate", "2024-03-01T01:30:00.250Z", "2024-03-01T01:30:00Z"),
        ("pQLStageNamesActivatedByNamespace", "é" * 15_000, "é" * 15_000),
    ],
)
def test_a_good_value_is_kept(field: str, value: Any, kept: Any) -> None:
    with emulated() as (_, api):
        api.sync({"email": "a@example.test", field: value})
        assert api.lead(1, field)[field] == kept


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("firstName", "é" * 256),
        ("numberOfEmployees", "14.1"),
        ("numberOfEmployees", 14.1),
        ("numberOfEmployees", True),
        ("numberOfEmployees", 2**31),
        ("annualRevenue", "much"),
        ("annualRevenue", "nan"),
        ("cDBIsPaidTier", "maybe"),
        ("cDBIsPaidTier", 2),
        ("cDBZuoraCreatedDate", "2023-02-29"),
        ("cDBZuoraCreatedDate", "01/02/2023"),
        ("cDBGitLabComCreatedDate", "2024-03-01"),
        ("cDBGitLabComCreatedDate", 1_700_000_000),
        ("pQLStageNamesActivatedByNamespace", "é" * 15_001),
        ("email", "josé@example.test"),
        ("email", "no at sign"),
        ("email", "two@@example.test"),
    ],
)
def test_a_bad_value_skips_its_row_as_1003_and_writes_nothing(field: str, value: Any) -> None:
    wire = str(value).lower() if isinstance(value, bool) else str(value)
    with emulated() as (emulator, api):
        (row,) = api.sync({"email": "a@example.test", field: value})
        assert row["reasons"] == [{"code": "1003", "message": f"Invalid value for field '{field}' and value '{wire}'"}]
        assert emulator.lead_count() == 0


def test_a_list_or_an_object_is_no_value() -> None:
    with emulated() as (_, api):
        rows: list[dict[str, Any]] = [
            {"email": "a@example.test", "firstName": ["A"]},
            {"email": "a@example.test", "firstName": {}},
        ]
        assert codes(api.sync(*rows)) == ["1001", "1001"]


def test_null_clears_and_an_absent_field_stays() -> None:
    with emulated() as (_, api):
        api.sync({"email": "a@example.test", "firstName": "A", "lastName": "B", "cDBIsPaidTier": True})
        api.sync({"email": "a@example.test", "firstName": None, "cDBIsPaidTier": None})
        assert api.lead(1, "firstName", "lastName", "cDBIsPaidTier") == {
            "id": 1,
            "firstName": None,
            "lastName": "B",
            "cDBIsPaidTier": False,
        }


def test_ids_are_keys_with_update_only_and_never_elsewhere() -> None:
    with emulated() as (_, api):
        api.sync({"email": "a@example.test"})
        by_id = {"lookupField": "id", "action": "updateOnly"}
        assert codes(api.sync({"id": 1, "email": "new@example.test"}, {"id": 9}, **by_id)) == ["updated", "1004"]
        assert codes(api.sync({"id": 1, "firstName": "x"}, lookupField="id")) == ["1003"]
        assert codes(api.sync({"email": "new@example.test", "firstName": "y"})) == ["updated"]
        assert codes(api.sync({"email": "a@example.test"}, action="updateOnly")) == ["1004"]


def test_other_lookup_fields() -> None:
    key = "cDBDimMarketingContactID"
    with emulated() as (_, api):
        api.sync({key: "C-1", "email": "a@example.test"}, {key: "C-2"}, lookupField=key)
        assert api.sync({key: "c-1", "firstName": "x"}, lookupField=key) == [{"id": 1, "status": "updated"}]
        number = "cDBGitLabComUserID"
        assert codes(api.sync({number: 7, "firstName": "n"}, {number: "7"}, lookupField=number)) == [
            "created",
            "updated",
        ]
        assert code(api.post("leads.json", {"lookupField": "userId", "input": [{"userId": 1}]})) == "1006"
        assert code(api.post("leads.json", {"lookupField": "createdAt", "input": [{"createdAt": "x"}]})) == "1011"


def test_the_visible_updated_at_follows_standard_fields_alone() -> None:
    clock = VirtualClock(START)
    with emulated(clock) as (_, api):
        api.sync({"email": "a@example.test"})
        clock.advance(60)
        api.sync({"email": "a@example.test", "cDBCompanyName": "ACME"})
        before = api.lead(1, "createdAt", "updatedAt")
        api.sync({"email": "a@example.test", "firstName": "A"})
        after = api.lead(1, "updatedAt")
    assert before["createdAt"] == before["updatedAt"] == "2026-05-28T20:26:40Z"
    assert after["updatedAt"] == "2026-05-28T20:27:40Z"


def test_partitions_of_a_write() -> None:
    row = {"email": "a@example.test"}
    with emulated() as (_, api):
        assert codes(api.sync(row, partitionName="Europe")) == ["created"]
        assert api.lead(1, "leadPartitionId")["leadPartitionId"] == 2
        assert codes(api.sync(row, partitionName="Europe")) == ["updated"]
        assert codes(api.sync(row, partitionName="Default")) == ["1010"]
        assert codes(api.sync(row)) == ["updated"]
        assert code(api.post("leads.json", {"partitionName": "Secret", "input": [row]})) == "1008"
        refused = {"partitionName": "Europe", "action": "updateOnly", "input": [row]}
        assert code(api.post("leads.json", refused)) == "1003"


def test_bodies_that_are_no_request() -> None:
    with emulated() as (_, api):
        url = f"{api.base}/rest/v1/leads.json"
        json_type, rows = {"Content-Type": "application/json"}, [{"email": "a@example.test"}]
        assert code(api.session.post(url, data=b"{not json", headers=json_type).json()) == "609"
        assert code(api.session.post(url, data=b"[1]", headers=json_type).json()) == "609"
        assert code(api.session.post(url, data=b"a,b", headers={"Content-Type": "text/csv"}).json()) == "612"
        assert code(api.post("leads.json", {"action": "createOrUpdate"})) == "1002"
        assert code(api.post("leads.json", {"input": []})) == "1002"
        assert code(api.post("leads.json", {"input": ["a@example.test"]})) == "1001"
        assert code(api.post("leads.json", {"input": rows * 301})) == "1003"
        assert api.post("leads.json", {"input": rows * 300})["success"]
