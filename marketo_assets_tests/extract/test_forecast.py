"""Which route a closed day takes.

Guards against: a day that is planned twice or forgotten, a plan that spends more than is left, one that leaves days for
a tomorrow that never comes, and a choice that nobody can explain.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketo_assets.extract.forecast import (
    BYTES_PER_DAY,
    BYTES_PER_ROW,
    CALLS_PER_JOB,
    ROWS_PER_CALL,
    Plan,
    Quotas,
    plan,
)
from marketo_assets.extract.store import History
from marketo_assets.extract.windows import windows

FIRST = date(2026, 2, 1)
LATE_DAYS = 3
PLENTY = Quotas(BYTES_PER_DAY, 40_000)


def some_days(count: int) -> list[date]:
    return [FIRST + timedelta(days=number) for number in range(count)]


def routes(planned: Plan) -> list[tuple[str, int]]:
    return [(each.route, len(each.window.days)) for each in planned.windows]


def calls(of: Sequence[date], rows: float, groups: int) -> int:
    return groups * (ceil(rows / ROWS_PER_CALL) + 1) * sum(len(each.days) + LATE_DAYS for each in windows(of))


def planned(days: Sequence[date], history: History, quotas: Quotas = PLENTY, groups: int = 1) -> Plan:
    return plan(days, history, quotas, groups=groups, late_days=LATE_DAYS)


def test_days_of_unknown_size_go_by_bulk_while_any_of_it_is_left() -> None:
    found = planned(some_days(40), History(None, None), Quotas(2_500_000, 0))
    assert routes(found) == [("bulk", 31), ("bulk", 9)]
    assert {each.reason for each in found.windows} == {"how large these days are is unknown; 2.5 MB left today"}
    assert found.left_over == ()


def test_days_of_unknown_size_wait_where_no_bulk_is_left() -> None:
    found = planned(some_days(3), History(None, None), Quotas(0, 40_000))
    assert (found.windows, found.left_over) == ((), tuple(some_days(3)))
    assert found.reason == "no bulk extract is left today, and how large these days are is unknown"


def test_days_that_cost_no_more_calls_than_a_job_go_by_rest() -> None:
    found = planned(some_days(1), History(300, 400))
    assert routes(found) == [("rest", 1)]
    assert found.windows[0].reason == "about 8 calls, no more than a job would cost"
    assert routes(planned(some_days(1), History(300, 400), groups=2)) == [("bulk", 1)]


def test_small_days_do_not_go_by_rest_without_calls() -> None:
    assert routes(planned(some_days(1), History(300, 400), Quotas(BYTES_PER_DAY, 7))) == [("bulk", 1)]


def test_days_that_fit_go_by_bulk() -> None:
    found = planned(some_days(40), History(10_000, 400))
    assert routes(found) == [("bulk", 31), ("bulk", 9)]
    assert {each.reason for each in found.windows} == {"about 160.0 MB of 500.0 MB left today"}


def test_a_row_that_was_never_measured_is_taken_for_400_bytes() -> None:
    assert planned(some_days(9), History(10_000, None)) == planned(some_days(9), History(10_000, BYTES_PER_ROW))


def test_what_does_not_fit_into_bulk_goes_by_rest_the_oldest_by_bulk() -> None:
    found = planned(some_days(4), History(10_000, 400), Quotas(9_000_000, 1_000))
    assert [(each.route, each.window.days) for each in found.windows] == [
        ("bulk", some_days(4)[:2]),
        ("rest", some_days(4)[2:]),
    ]
    assert found.windows[1].reason == (
        "about 8.0 MB more than the 9.0 MB left today; by REST about 175 of 1000 calls left"
    ), "35 calls a day for two days and the three after them"
    assert found.left_over == ()


def test_what_fits_into_neither_is_left_over_and_the_reason_has_the_numbers() -> None:
    found = planned(some_days(9), History(10_000, 400), Quotas(4_000_000, 10 + 35 * 4))
    assert [(each.route, each.window.days) for each in found.windows] == [
        ("bulk", some_days(9)[:1]),
        ("rest", some_days(9)[1:2]),
    ]
    assert found.left_over == tuple(some_days(9)[2:])
    assert found.reason == "4.0 MB and 150 calls are left today; these days need about 4.0 MB or 35 calls each"


def test_calls_that_jobs_will_need_are_not_promised_to_rest() -> None:
    found = planned(some_days(2), History(10_000, 400), Quotas(4_000_000, 35 * 4))
    assert routes(found) == [("bulk", 1)]
    assert found.left_over == tuple(some_days(2)[1:])


def test_a_day_larger_than_the_whole_quota_is_not_put_off_for_ever() -> None:
    """Marketo asks what is left before a job and not after it: with the whole quota left, any day gets through."""
    larger = History(2_000_000, 400)
    found = planned(some_days(3), larger, Quotas(BYTES_PER_DAY, 1_000))
    assert routes(found) == [("bulk", 1)]
    assert found.left_over == tuple(some_days(3)[1:])
    assert planned(some_days(3), larger, Quotas(BYTES_PER_DAY - 1, 1_000)).windows == ()


@pytest.mark.parametrize("rows", [None, 0.0, 1e4])
def test_no_days_are_a_plan_of_nothing(rows: float | None) -> None:
    found = planned([], History(rows, None))
    assert (found.windows, found.left_over) == ((), ())


def test_days_on_which_nothing_happens_cost_nothing() -> None:
    assert routes(planned(some_days(31), History(0.0, None), Quotas(0, 0))) == [("bulk", 31)]
    assert routes(planned(some_days(7), History(0.0, None))) == [("rest", 7)]


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    days=st.lists(st.dates(date(2026, 1, 1), date(2026, 4, 30)), unique=True, max_size=60),
    rows=st.none() | st.integers(0, 42_000_000).map(lambda total: total / 14),
    size=st.none() | st.floats(50, 2_000),
    bytes_left=st.integers(0, BYTES_PER_DAY),
    calls_left=st.integers(0, 40_000),
    groups=st.integers(1, 7),
)
def test_every_day_is_planned_once_or_left_over_and_no_plan_spends_more_than_is_left(
    days: list[date], rows: float | None, size: float | None, bytes_left: int, calls_left: int, groups: int
) -> None:
    found = planned(days, History(rows, size), Quotas(bytes_left, calls_left), groups)
    by_route = {
        route: [day for each in found.windows if each.route == route for day in each.window.days]
        for route in ("bulk", "rest")
    }
    assert sorted([*by_route["bulk"], *by_route["rest"], *found.left_over]) == sorted(days)
    assert all(each.reason for each in found.windows)
    assert bool(found.reason) or not found.left_over
    if found.left_over and found.windows:
        assert max(day for each in found.windows for day in each.window.days) < min(found.left_over)
    if rows is not None:
        needed = len(by_route["bulk"]) * rows * (size or BYTES_PER_ROW)
        assert needed <= bytes_left * (1 + 1e-9) or (len(by_route["bulk"]) == 1 and bytes_left == BYTES_PER_DAY)
        jobs = CALLS_PER_JOB * len(list(windows(by_route["bulk"])))
        assert not by_route["rest"] or jobs + calls(by_route["rest"], rows, groups) <= calls_left
