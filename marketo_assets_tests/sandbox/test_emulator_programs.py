"""Guards the members of programs: who they are, with which status, in pages, and what a change of it leaves behind."""

from pathlib import Path

import pytest

from marketo_assets.marketo.clock import VirtualClock
from marketo_assets_tests.sandbox.emulator_calls import START, Api, code, emulated

MEMBERS = "leads/programs/2001.json"


def test_members_have_their_membership() -> None:
    clock = VirtualClock(START)
    with emulated(clock) as (emulator, api):
        _make(api, 3)
        emulator.put_program_members(2001, [1, 3], "Invited")
        clock.advance(60)
        emulator.put_program_members(2001, [3], "Attended", is_success=True)
        first, second = api.get(MEMBERS, fields="email")["result"]
    membership = {
        "id": 1,
        "progressionStatus": "Invited",
        "isExhausted": False,
        "acquiredBy": False,
        "reachedSuccess": False,
        "membershipDate": "2026-05-28T20:26:40Z",
        "updatedAt": "2026-05-28T20:26:40Z",
    }
    assert first == {"id": 1, "email": "1@x.io", "membership": membership}
    changed = {"progressionStatus": "Attended", "reachedSuccess": True, "updatedAt": "2026-05-28T20:27:40Z"}
    assert second["membership"] == membership | {"id": second["membership"]["id"]} | changed


@pytest.mark.parametrize("method_in", ["get", "query", "form"])
def test_members_come_in_pages(method_in: str) -> None:
    with emulated() as (emulator, api):
        _make(api, 7)
        emulator.put_program_members(2001, range(1, 8))
        seen, asked = [], {"batchSize": "3"}
        for _ in range(3):
            if method_in == "get":
                page = api.get(MEMBERS, **asked)
            elif method_in == "query":
                page = api.form(MEMBERS, asked, _method="GET")
            else:
                page = api.form(MEMBERS, {**asked, "_method": "GET"})
            seen.append([lead["id"] for lead in page["result"]])
            assert "moreResult" not in page
            asked["nextPageToken"] = page.get("nextPageToken", "")
    assert seen == [[1, 2, 3], [4, 5, 6], [7]]
    assert asked["nextPageToken"] == ""


def test_a_new_status_leaves_an_activity_the_same_one_does_not() -> None:
    with emulated() as (emulator, api):
        _make(api, 1)
        for status in ("Invited", "Invited", "Attended"):
            emulator.put_program_members(2001, [1], status)
        found = api.activities(START, 104)
    assert [(each["primaryAttributeValueId"], each["primaryAttributeValue"]) for each in found] == [
        (2001, "Webinar"),
        (2001, "Webinar"),
    ]
    values = [{entry["name"]: entry["value"] for entry in each["attributes"]} for each in found]
    assert [(each.get("Old Status"), each["New Status"]) for each in values] == [
        (None, "Invited"),
        ("Invited", "Attended"),
    ]


def test_programs_and_leads_that_are_not_there() -> None:
    with emulated(programs=("Only",)) as (emulator, api):
        _make(api, 2)
        assert api.get(MEMBERS)["result"] == []
        assert code(api.get("leads/programs/2002.json")) == "1013"
        with pytest.raises(KeyError):
            emulator.put_program_members(2002, [1])
        with pytest.raises(KeyError):
            emulator.put_program_members(2001, [2, 9])
        assert api.get(MEMBERS)["result"] == []
        emulator.put_program_members(2001, [1, 2])
        api.post("leads/delete.json", id="1")
        assert [lead["id"] for lead in api.get(MEMBERS)["result"]] == [2]


def test_members_survive_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite"
    with emulated(state=state) as (emulator, api):
        _make(api, 1)
        emulator.put_program_members(2001, [1], "Attended")
    with emulated(state=state) as (_, api):
        (lead,) = api.get(MEMBERS)["result"]
    assert lead["membership"]["progressionStatus"] == "Attended"


def _make(api: Api, count: int) -> None:
    api.sync(*({"email": f"{number}@x.io"} for number in range(1, count + 1)))
