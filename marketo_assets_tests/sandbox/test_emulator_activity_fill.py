"""Guards the generated past: as many as asked, within its days, shaped like a real one, the same for the same seed."""

from collections import Counter
from datetime import datetime

import pytest

from marketo_assets.sandbox.marketo.activities import expand
from marketo_assets.sandbox.marketo.activity_types import SHORT_LIVED_TYPES
from marketo_assets.sandbox.marketo.wire import stamp
from marketo_assets_tests.sandbox.emulator_calls import START, emulated

DAY = 86_400
NOW = int(START)


def test_the_asked_number_in_the_asked_days_over_the_leads_there_are() -> None:
    with emulated() as (emulator, _):
        emulator.fill(200)
        assert emulator.fill_activities(5_000, 7) == 5_000
        found = list(emulator.activities())
    assert len(found) == len({activity["marketoGUID"] for activity in found}) == 5_000
    assert stamp(NOW - 7 * DAY) <= min(activity["activityDate"] for activity in found) < stamp(NOW - 7 * DAY + 7_200)
    assert stamp(NOW - 3_600) <= max(activity["activityDate"] for activity in found) < stamp(NOW)
    assert {activity["leadId"] for activity in found} <= set(range(1, 201))


def test_it_is_shaped_like_a_real_one() -> None:
    with emulated() as (emulator, _):
        emulator.fill(200)
        emulator.fill_activities(20_000, 28)
        found = [
            (datetime.fromisoformat(activity["activityDate"]), activity["leadId"], activity["activityTypeId"])
            for activity in emulator.activities()
        ]
    weekdays = Counter(at.weekday() for at, _, _ in found)
    assert weekdays[5] + weekdays[6] < weekdays[1]
    hours = Counter(at.hour for at, _, _ in found)
    assert hours[3] * 3 < hours[10]
    per_hour = Counter((at.date(), at.hour) for at, _, type_id in found if type_id == 6)
    usual = sorted(per_hour.values())[len(per_hour) // 2]
    assert max(per_hour.values()) > 4 * usual, "no sending stands out"
    busiest = [count for _, count in Counter(lead_id for _, lead_id, _ in found).most_common(20)]
    assert sum(busiest) > 0.35 * len(found)
    assert len({type_id for _, _, type_id in found}) > 25


def test_late_ones_are_committed_up_to_two_days_after_they_happened_and_never_later_than_now() -> None:
    with emulated() as (emulator, _):
        emulator.fill(200)
        emulator.fill_activities(10_000, 7, late_share=0.1)
        events = list(emulator._instance.store.activities_between(0, NOW, None))
    delays = [event.committed - event.at for event in events if event.committed > event.at]
    assert 0.08 < len(delays) / len(events) < 0.12
    assert DAY < max(delays) <= 2 * DAY
    assert max(event.committed for event in events) < NOW
    by_id = sorted(events, key=lambda event: event.id)
    assert [event.committed for event in by_id] == sorted(event.committed for event in events)


def test_the_same_seed_and_start_make_the_same_activities() -> None:
    made = []
    for seed in (1, 1, 2):
        with emulated() as (emulator, _):
            emulator.fill(50)
            emulator.fill_activities(500, 3, seed=seed)
            made.append(list(emulator.activities()))
    assert made[0] == made[1]
    assert made[0] != made[2]


def test_old_hours_have_none_of_the_types_that_would_be_gone_again() -> None:
    with emulated() as (emulator, _):
        emulator.fill(50)
        emulator.fill_activities(5_000, 150)
        assert emulator.activities_made() == len(list(emulator.activities())) == 5_000
        old = {
            activity["activityTypeId"]
            for activity in emulator.activities()
            if activity["activityDate"] < stamp(NOW - 91 * DAY)
        }
    assert old
    assert old.isdisjoint(SHORT_LIVED_TYPES)


def test_values_a_reader_may_stumble_over_are_among_them() -> None:
    with emulated() as (emulator, _):
        emulator.fill(50)
        emulator.fill_activities(20_000, 7)
        texts = {
            attribute["value"]
            for activity in emulator.activities()
            for attribute in activity["attributes"]
            if isinstance(attribute["value"], str)
        }
    everything = "".join(texts)
    assert all(sign in everything for sign in ('"', "\n", "\r", "\x00", "\u2028", ",", "😀"))
    assert "null" in texts


def test_without_leads_there_is_nothing_to_fill() -> None:
    with emulated() as (emulator, _), pytest.raises(ValueError, match="no leads"):
        emulator.fill_activities(10, 1)


def test_after_activities_that_are_there_already_the_past_arrives_late_and_ids_still_grow() -> None:
    with emulated() as (emulator, api):
        api.sync({"email": "a@example.test"})
        emulator.fill_activities(100, 7)
        found = list(emulator.activities())
        assert [activity["id"] for activity in found] == list(range(1, 102))
        assert found[0]["activityTypeId"] == 12
        assert len(api.activities(START, 1, 6, 7, 10, 13)) > 50, "committed now, all of them"


@pytest.mark.parametrize("types", [None, {1}, {99}])
def test_activities_between_two_times_are_found_by_time_however_late_they_came(types: set[int] | None) -> None:
    start, end = NOW - 3 * DAY, NOW - 2 * DAY
    with emulated() as (emulator, _):
        emulator.fill(50)
        emulator.fill_activities(12_000, 5, late_share=0.2)
        instance = emulator._instance
        events = list(instance.store.activities_between(start, end, types))
        found = [activity["id"] for event in events for activity in expand(event, instance.fields, "")]
        expected = {
            activity["id"]
            for activity in emulator.activities()
            if stamp(start) <= activity["activityDate"] < stamp(end)
            and (types is None or activity["activityTypeId"] in types)
        }
    assert len(found) == len(expected)
    assert set(found) == expected
    assert [(event.at, event.id) for event in events] == sorted((event.at, event.id) for event in events)
