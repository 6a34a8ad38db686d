"""Guards the paging tokens: no activity at or after the asked time is missed, no bad token believed."""

from pathlib import Path

import pytest

from marketo_assets.marketo.clock import VirtualClock
from marketo_assets.sandbox.marketo.wire import stamp
from marketo_assets_tests.sandbox.emulator_calls import START, Api, code, emulated

VISIT = 1
HOUR = 3600.0


def leads(api: Api, since: str) -> list[int]:
    token = api.get("activities/pagingtoken.json", sinceDatetime=since)["nextPageToken"]
    return [activity["leadId"] for page in api.activity_pages(token, VISIT) for activity in page.get("result", [])]


def test_the_reply_has_the_token_and_no_result() -> None:
    with emulated() as (_, api):
        reply = api.get("activities/pagingtoken.json", sinceDatetime="2026-05-01T00:00:00Z")
    assert set(reply) == {"requestId", "success", "nextPageToken"}


@pytest.mark.parametrize(
    ("since", "found"),
    [
        ("2026-05-28T20:26:40Z", [2, 3]),
        ("2026-05-28T20:26:40.000Z", [2, 3]),
        ("2026-05-28T20:26:40+00:00", [2, 3]),
        ("2026-05-28T22:26:40+02:00", [2, 3]),
        ("2026-05-28T22:26:40+0200", [2, 3]),
        ("2026-05-28T20:26:40", [2, 3]),
        ("2026-05-28T20:26:41Z", [3]),
        ("2026-05-28T20:26:42Z", []),
        ("2026-05-28", [1, 2, 3]),
        ("2026-05-29", []),
        ("0001-01-01", [1, 2, 3]),
        ("9999-12-31T23:59:59-14:00", []),
    ],
)
def test_a_stream_begins_at_the_asked_second(since: str, found: list[int]) -> None:
    clock = VirtualClock(START - 1)
    with emulated(clock) as (emulator, api):
        for lead_id in (1, 2, 3):
            emulator.add_activities(VISIT, [lead_id], clock.now())
            clock.advance(1)
        assert leads(api, since) == found


@pytest.mark.parametrize(
    "since",
    ["yesterday", "2026-02-30", "2026-05-28T20:26", "2026-05-28 20:26:40", "1780000000", "20260528", "٢٠٢٦-05-28"],
)
def test_a_bad_time_is_refused(since: str) -> None:
    with emulated() as (_, api):
        assert code(api.get("activities/pagingtoken.json", sinceDatetime=since)) == "704"


def test_a_plus_that_was_not_encoded_is_a_bad_time_and_none_at_all_is_missing() -> None:
    with emulated() as (_, api):
        url = f"{api.base}/rest/v1/activities/pagingtoken.json"
        assert code(api.session.get(f"{url}?sinceDatetime=2026-05-28T20:26:40+00:00").json()) == "704"
        assert code(api.session.get(url).json()) == "1002"


def test_a_late_arrival_comes_at_the_end_of_the_stream_and_to_every_token_it_could_matter_to() -> None:
    clock = VirtualClock(START)
    with emulated(clock, token_seconds=1_000_000) as (emulator, api):
        emulator.add_activities(VISIT, [1], START)
        stored = next(api.activity_pages(api.paging_token(START), VISIT))["nextPageToken"]
        clock.advance(48 * HOUR)
        emulator.add_activities(VISIT, [2], clock.now())
        emulator.add_activities(VISIT, [3], START + HOUR)
        clock.advance(HOUR)
        tail = [activity["leadId"] for activity in next(api.activity_pages(stored, VISIT))["result"]]
        assert tail == [2, 3]
        for since in (START, START + 1, START + HOUR):
            assert 3 in [activity["leadId"] for activity in api.activities(since, VISIT)]
        assert [activity["leadId"] for activity in api.activities(START + 47 * HOUR, VISIT)] == [2, 3]
        assert api.activities(clock.now(), VISIT) == []
        assert [activity["activityDate"] for activity in api.activities(START, VISIT, leadIds="3")] == [
            "2026-05-28T21:26:40Z"
        ]


def test_no_token_misses_an_activity_at_or_after_its_time() -> None:
    with emulated(rate=None) as (emulator, api):
        emulator.fill(20)
        emulator.fill_activities(2_000, 2, late_share=0.3)
        everything = {activity["marketoGUID"]: activity["activityDate"] for activity in emulator.activities(VISIT)}
        for hours in range(0, 49, 4):
            found = {activity["marketoGUID"] for activity in api.activities(START - hours * HOUR, VISIT)}
            bound = stamp(int(START - hours * HOUR))
            assert {guid for guid, date in everything.items() if date >= bound} <= found


def test_a_time_to_come_is_no_error_and_shows_what_will_be_committed_then() -> None:
    clock = VirtualClock(START)
    with emulated(clock) as (emulator, api):
        token = api.paging_token(START + 10)
        emulator.add_activities(VISIT, [1], START)
        clock.advance(10)
        emulator.add_activities(VISIT, [2], clock.now())
        (page,) = api.activity_pages(token, VISIT)
    assert [activity["leadId"] for activity in page["result"]] == [2]


@pytest.mark.parametrize(
    "token", ["x", "GIYDAOBNGEYS2MBWKQYDAORQGA5DAMBOGAYDAKZQGAYDALBQ", "=====", "ÄÖÜ", "A" * 4_000]
)
def test_a_token_that_nobody_gave_out_is_refused(token: str) -> None:
    with emulated() as (_, api):
        assert code(api.get("activities.json", nextPageToken=token, activityTypeIds="1")) == "1003"
        assert code(api.get("activities/deletedleads.json", nextPageToken=token)) == "1003"


def test_a_token_of_another_stream_or_with_a_letter_changed_is_refused() -> None:
    with emulated() as (emulator, api):
        emulator.fill(3, duplicate_share=0)
        of_leads = api.get("leads.json", filterType="id", filterValues="1,2,3", batchSize=1)["nextPageToken"]
        own = api.paging_token(START)
        changed = own[:8] + ("A" if own[8] != "A" else "B") + own[9:]
        for token in (of_leads, changed):
            assert code(api.get("activities.json", nextPageToken=token, activityTypeIds="1")) == "1003"


def test_tokens_age_where_that_is_switched_on() -> None:
    clock = VirtualClock(START)
    with emulated(clock, paging_token_seconds=600, token_seconds=100_000) as (_, api):
        since = api.paging_token(START)
        position = next(api.activity_pages(since, VISIT))["nextPageToken"]
        clock.advance(599)
        assert list(api.activity_pages(since, VISIT))
        clock.advance(1)
        for token in (since, position):
            assert code(api.get("activities.json", nextPageToken=token, activityTypeIds="1")) == "1003"


def test_tokens_and_late_arrivals_survive_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite"
    clock = VirtualClock(START)
    with emulated(clock, state=state) as (emulator, api):
        emulator.add_activities(VISIT, [1, 2, 3], START)
        since = api.paging_token(START)
        position = api.get("activities.json", nextPageToken=since, activityTypeIds="1", batchSize=2)["nextPageToken"]
        clock.advance(HOUR)
        emulator.add_activities(VISIT, [4], START - HOUR)
        before = list(emulator.activities())
    with emulated(clock, state=state) as (emulator, api):
        assert list(emulator.activities()) == before
        for token, expected in ((since, [1, 2, 3, 4]), (position, [3, 4])):
            (page,) = api.activity_pages(token, VISIT)
            assert [activity["leadId"] for activity in page["result"]] == expected
        assert emulator.add_activities(VISIT, [5], START) == [5]
