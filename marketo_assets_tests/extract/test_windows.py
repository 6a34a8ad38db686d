"""Days brought together into windows.

Guards against: a day asked for twice or not at all, a job over a gap or over more days than Marketo takes, a day that
is an hour short because a clock was put forward, and type groups that shift while their streams are being followed.
"""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketo_assets.extract.windows import MAX_DAYS, MAX_TYPES, Window, is_closed, midnight, type_groups, windows

DAYS = st.lists(st.dates(date(2025, 12, 1), date(2026, 4, 30)))


@settings(derandomize=True, deadline=None)
@given(days=DAYS, most=st.integers(1, MAX_DAYS))
def test_every_day_is_in_exactly_one_window_and_no_window_holds_another(days: list[date], most: int) -> None:
    found = list(windows(days, most))
    assert [day for window in found for day in window.days] == sorted(set(days))
    assert all(1 <= len(window.days) <= most for window in found)
    assert all(window.end - window.start == timedelta(days=len(window.days)) for window in found)


@settings(derandomize=True, deadline=None)
@given(days=DAYS)
def test_there_are_no_more_windows_than_gaps_and_full_ones(days: list[date]) -> None:
    found = list(windows(days))
    for one, next_one in pairwise(found):
        assert one.end < next_one.start or len(one.days) == MAX_DAYS


def test_a_32nd_day_is_a_window_of_its_own() -> None:
    first = date(2026, 1, 1)
    (one, other) = windows(first + timedelta(days=number) for number in range(32))
    assert (len(one.days), other.days) == (31, [date(2026, 2, 1)])
    assert one.end == other.start


@pytest.mark.parametrize("day", [date(2026, 3, 8), date(2026, 3, 29), date(2026, 10, 25), date(2026, 11, 1)])
def test_a_day_has_24_hours_on_the_nights_when_clocks_are_changed(day: date) -> None:
    window = Window(day, day)
    assert window.end - window.start == timedelta(hours=24)
    assert (window.start, window.start.tzinfo) == (datetime(day.year, day.month, day.day, tzinfo=UTC), UTC)


def test_a_day_is_closed_from_the_next_midnight_on() -> None:
    day = date(2026, 2, 28)
    end = midnight(date(2026, 3, 1))
    assert not is_closed(day, end - timedelta(microseconds=1))
    assert is_closed(day, end)


@settings(derandomize=True, deadline=None)
@given(ids=st.lists(st.integers(1, 200)))
def test_every_type_is_in_one_group_that_a_call_takes_whatever_the_order(ids: list[int]) -> None:
    groups = type_groups(ids)
    assert sorted(each for group in groups for each in group) == sorted(set(ids))
    assert all(1 <= len(group) <= MAX_TYPES for group in groups)
    assert groups == type_groups(ids[::-1]) == type_groups(each for group in groups for each in group)
    assert len(groups) == -(-len(set(ids)) // MAX_TYPES)
