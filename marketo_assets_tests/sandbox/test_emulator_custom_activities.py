"""Guards the way in which activities come to Marketo from outside, late ones above all: rows, codes, limits."""

from collections.abc import Iterator
from typing import Any

import pytest

from marketo_assets.sandbox.marketo import ActivityAttribute, ActivityType, Emulator
from marketo_assets.sandbox.marketo.activity_store import count_committed
from marketo_assets.sandbox.marketo.wire import stamp
from marketo_assets_tests.sandbox.emulator_calls import START, Api, code, emulated

WEBINAR = ActivityType(
    100_001,
    "Attend Webinar",
    primary=ActivityAttribute("Webinar", "string", "webinar"),
    attributes=(ActivityAttribute("Minutes", "integer", "minutes"), ActivityAttribute("Rating", "float", "rating")),
    api_name="attendWebinar_c",
)
YESTERDAY = int(START) - 86_400


@pytest.fixture
def world() -> Iterator[tuple[Emulator, Api]]:
    with emulated(custom_activity_types=(WEBINAR,)) as (emulator, api):
        emulator.fill(3)
        yield emulator, api


def row(**changes: Any) -> dict[str, Any]:
    """A good row but for the changes; None takes a key away."""
    good = {
        "leadId": 1,
        "activityDate": stamp(YESTERDAY),
        "activityTypeId": 100_001,
        "primaryAttributeValue": "Spring",
        "attributes": [{"name": "Minutes", "value": 45}],
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def test_an_activity_of_yesterday_is_committed_now_and_read_as_it_was_written(world: tuple[Emulator, Api]) -> None:
    _, api = world
    attributes = [{"apiName": "minutes", "value": 45}, {"name": "Rating", "value": None}]
    (added,) = api.post("activities/external.json", {"input": [row(attributes=attributes)]})["result"]
    assert added == {"id": int(added["marketoGUID"]), "marketoGUID": added["marketoGUID"], "status": "added"}
    (activity,) = api.activities(START, 100_001)
    assert activity == {
        "id": added["id"],
        "marketoGUID": added["marketoGUID"],
        "leadId": 1,
        "activityDate": stamp(YESTERDAY),
        "activityTypeId": 100_001,
        "primaryAttributeValue": "Spring",
        "attributes": [{"name": "Minutes", "value": 45}],
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"leadId": 99}, "1004"),
        ({"leadId": None}, "1002"),
        ({"leadId": "x"}, "1001"),
        ({"primaryAttributeValue": None}, "1002"),
        ({"activityTypeId": 1}, "1003"),
        ({"activityTypeId": 100_002}, "1003"),
        ({"activityDate": "2026-02-30"}, "1003"),
        ({"activityDate": stamp(int(START) + 1)}, "1003"),
        ({"activityDate": 5}, "1003"),
        ({"attributes": "Minutes"}, "1001"),
        ({"attributes": [{"name": "Hours", "value": 1}]}, "1006"),
        ({"attributes": [{"name": "Minutes", "value": "9" * 65_536}]}, "1049"),
    ],
)
def test_a_bad_row_is_skipped_under_errors_and_the_others_are_added(
    world: tuple[Emulator, Api], changes: dict[str, Any], expected: str
) -> None:
    _, api = world
    result = api.post("activities/external.json", {"input": [row(), row(**changes), row(leadId=2)]})["result"]
    assert [each["status"] for each in result] == ["added", "skipped", "added"]
    assert [error["code"] for error in result[1]["errors"]] == [expected]
    assert set(result[1]) == {"status", "errors"}
    assert [str(each["id"]) for each in api.activities(START, 100_001)] == [
        result[0]["marketoGUID"],
        result[2]["marketoGUID"],
    ]


def test_a_call_takes_300_rows(world: tuple[Emulator, Api]) -> None:
    emulator, api = world
    assert code(api.post("activities/external.json", {"input": [row()] * 301})) == "1003"
    assert emulator.activities_made() == 0
    assert len(api.post("activities/external.json", {"input": [row()] * 300})["result"]) == 300
    assert emulator.activities_made() == 300


def test_another_process_can_count_what_was_committed(tmp_path_factory: pytest.TempPathFactory) -> None:
    state = tmp_path_factory.mktemp("of a stranger? #1") / "state.sqlite"
    with emulated(state=state) as (emulator, api):
        emulator.fill(3)
        emulator.add_activities(1, [1, 2], YESTERDAY)
        api.sync({"email": "lead00000001@example.test", "city": "Ulm", "state": "BW"})
        emulator.add_activities(1, [1], START)
        assert count_committed(state, [1, 13], int(START), 1_000) == 3
        assert count_committed(state, [1], YESTERDAY, 1_000) == 3
        assert count_committed(state, [1, 13], YESTERDAY, 4) == 3, "a write is one event, of which ids may be cut off"
