"""Guards what time does to activities: those past their retention are gone, live ones come by the clock alone."""

from pathlib import Path

from marketo_assets.marketo.clock import VirtualClock
from marketo_assets_tests.sandbox.emulator_calls import START, emulated

DAY = 86_400.0
VISIT, FORM, NEW, CHANGE, DELETE = 1, 2, 12, 13, 37


def test_deletes_go_after_14_days_the_documented_types_after_90_and_the_others_stay() -> None:
    clock = VirtualClock(START)
    with emulated(clock) as (emulator, api):
        api.sync({"email": "a@example.test"})
        api.post("leads/delete.json", id="1")
        emulator.add_activities(VISIT, [1], START)
        emulator.add_activities(FORM, [1], START)
        seen = []
        for days in (14, 1, 75, 1):
            clock.advance(days * DAY)
            seen.append([activity["activityTypeId"] for activity in emulator.activities()])
        api.sign_in()
        assert "result" not in api.get("activities/deletedleads.json", nextPageToken=api.paging_token(START))
        assert [activity["activityTypeId"] for activity in api.activities(START, VISIT, FORM)] == [FORM]
    assert seen == [[12, 37, VISIT, FORM], [12, VISIT, FORM], [12, VISIT, FORM], [12, FORM]]


def test_retention_can_be_switched_off() -> None:
    clock = VirtualClock(START)
    with emulated(clock, deleted_lead_days=None, short_lived_activity_days=None) as (emulator, api):
        api.sync({"email": "a@example.test"})
        api.post("leads/delete.json", id="1")
        emulator.add_activities(VISIT, [1], START)
        clock.advance(1_000 * DAY)
        assert [activity["activityTypeId"] for activity in emulator.activities()] == [12, DELETE, VISIT]


def test_every_stream_forgets_changes_after_90_days_deletes_after_14_and_new_leads_never() -> None:
    clock = VirtualClock(START)
    with emulated(clock) as (_, api):
        api.sync({"email": "a@example.test"}, {"email": "b@example.test"})
        api.sync({"email": "a@example.test", "city": "Rome"})
        api.post("leads/delete.json", id="2")
        seen = []
        for days in (14, 1, 75, 1):
            clock.advance(days * DAY)
            api.sign_in()
            asked = {"nextPageToken": api.paging_token(START), "fields": "city"}
            streams = (
                api.get("activities/leadchanges.json", **asked),
                api.get("activities/deletedleads.json", **asked),
            )
            told = [[row["activityTypeId"] for row in stream.get("result", [])] for stream in streams]
            seen.append((*told, [row["activityTypeId"] for row in api.activities(START, NEW, CHANGE, DELETE)]))
    assert seen == [
        ([NEW, NEW, CHANGE], [DELETE], [NEW, NEW, CHANGE, DELETE]),
        ([NEW, NEW, CHANGE], [], [NEW, NEW, CHANGE]),
        ([NEW, NEW, CHANGE], [], [NEW, NEW, CHANGE]),
        ([NEW, NEW], [], [NEW, NEW]),
    ]


def test_ids_of_what_is_gone_are_not_given_again_and_old_tokens_go_on(tmp_path: Path) -> None:
    clock = VirtualClock(START)
    state = tmp_path / "state.sqlite"
    with emulated(clock, state=state) as (emulator, api):
        emulator.add_activities(VISIT, [1, 2, 3], START)
        token = api.get("activities.json", nextPageToken=api.paging_token(START), activityTypeIds="1", batchSize=2)[
            "nextPageToken"
        ]
        clock.advance(91 * DAY)
        assert list(emulator.activities()) == []
        assert emulator.activities_made() == 3
    with emulated(clock, state=state) as (emulator, api):
        assert emulator.add_activities(VISIT, [4], clock.now()) == [4]
        (page,) = api.activity_pages(token, VISIT)
    assert [activity["leadId"] for activity in page["result"]] == [4]


def test_live_activities_come_by_the_clock_however_often_one_looks() -> None:
    streams = []
    for looks in (1, 60):
        clock = VirtualClock(START)
        with emulated(clock, live_activities_per_minute=90.0) as (emulator, _):
            emulator.fill(50)
            assert list(emulator.activities()) == []
            for _ in range(looks):
                clock.advance(600 / looks)
                emulator.activities_made()
            streams.append(list(emulator.activities()))
    assert len(streams[0]) == 900
    assert streams[0] == streams[1]
    dates = [activity["activityDate"] for activity in streams[0]]
    late = sum(date < "2026-05-28T20:26:40Z" for date in dates)
    assert 0 < late < 60
    assert max(dates) == "2026-05-28T20:36:40Z"


def test_live_activities_reach_a_client_that_polls() -> None:
    clock = VirtualClock(START)
    with emulated(clock, live_activities_per_minute=30.0) as (emulator, api):
        emulator.fill(50)
        token, seen = api.paging_token(START), 0
        kinds = [entry["id"] for entry in api.get("activities/types.json")["result"]]
        for _ in range(3):
            clock.advance(60)
            for page in api.activity_pages(token, *kinds[:10]):
                token, seen = page["nextPageToken"], seen + len(page.get("result", []))
        assert 0 < seen <= emulator.activities_made() == 90


def test_live_activities_go_on_after_a_restart_for_the_time_between(tmp_path: Path) -> None:
    clock = VirtualClock(START)
    state = tmp_path / "state.sqlite"
    with emulated(clock, state=state, live_activities_per_minute=60.0) as (emulator, _):
        emulator.fill(50)
        clock.advance(60)
        assert emulator.activities_made() == 60
    clock.advance(600)
    with emulated(clock, state=state, live_activities_per_minute=60.0) as (emulator, _):
        assert emulator.activities_made() == 660
        clock.advance(60)
        assert emulator.activities_made() == 720


def test_nothing_lives_without_leads() -> None:
    clock = VirtualClock(START)
    with emulated(clock, live_activities_per_minute=60.0) as (emulator, _):
        clock.advance(600)
        assert emulator.activities_made() == 0
