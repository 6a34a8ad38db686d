"""Days by Get Lead Activities.

Guards against: days that end with the first short or empty page, late activities left out, chains that read on for days
because of a few late ones, a token that goes bad in the middle, two runs that write into each other's files, and days
that were read and are not marked because a later one failed.
"""

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
import requests

from marketo_assets.extract.rest_route import DayRows, days_read
from marketo_assets.extract.windows import Window
from marketo_assets.sandbox.marketo import EmulatorOptions, EmulatorTransport
from marketo_assets.sandbox.marketo.faults import Fault
from marketo_assets_tests.extract.conftest import CLICK, SEND, VISIT, ExtractWorld

PAGES = "GET /rest/v1/activities.json"


@pytest.fixture(autouse=True)
def by_rest(world: ExtractWorld) -> None:
    world.configure(("route: auto", "route: rest"))


def read_here(world: ExtractWorld, first: date, last: date, *, groups: Sequence[Sequence[int]]) -> list[DayRows]:
    """A window's days, without a warehouse."""
    with world.marketo.client() as client:
        return list(days_read(client, Window(first, last), groups, world.marketo.folder, calls=4))


def guids(days: Sequence[DayRows]) -> list[str]:
    return [guid for day in days for table in day.tables() for guid in table["marketo_guid"].to_pylist()]


def test_short_and_empty_pages_in_the_middle_are_not_the_end(world: ExtractWorld) -> None:
    first = world.activity("2026-02-28T08:00:00")
    # A page looks at 300 activities of all types: two pages of these have no `result`, and moreResult.
    at = datetime(2026, 2, 28, 9, tzinfo=UTC).timestamp()
    world.emulator.add_activities(46, range(1, 701), at)
    last = world.activity("2026-02-28T10:00:00", CLICK)
    told = world.metadata(world.load("2026-02-28"))["2026-02-28"]
    assert (world.guids(), told["rows_read"]) == ([first, last], 2)


def test_every_activity_of_a_day_is_read_however_late_and_no_day_is_read_to_the_end_of_time(
    world: ExtractWorld,
) -> None:
    world.emulator.fill_activities(9_000, 9, late_share=0.3)
    types = (VISIT, CLICK, SEND)
    wanted = {
        activity["marketoGUID"]
        for activity in world.emulator.activities()
        if activity["activityTypeId"] in {*types, 12} and activity["activityDate"].startswith("2026-02-25")
    }
    calls = world.emulator.calls()
    told = world.metadata(world.load("2026-02-25"))
    assert wanted <= set(world.guids())
    assert told["2026-02-25"]["rows_read"] == told["2026-02-25"]["dagster/partition_row_count"] == len(wanted)
    # Some 1,000 activities a day are 4 or 5 pages, one or two more tell that the day is over, and a token for each
    # of the 4 days: its own and the 3 in which late ones come. The rest: types and usage.
    assert world.emulator.calls() - calls <= 4 * (5 + 2 + 1) + 2


class ForgetfulTransport(EmulatorTransport):
    """Marketo refuses the token of the third page that it is asked for, once."""

    pages = 0

    def send(self, request: requests.PreparedRequest, *arguments: Any, **named: Any) -> requests.Response:
        response = super().send(request, *arguments, **named)
        if PAGES.split("/", 1)[1] in (request.url or ""):
            self.pages += 1
            if self.pages == 3:
                response._content = b'{"success": false, "errors": [{"code": "1003", "message": "Invalid token"}]}'
        return response


def test_a_token_that_goes_bad_in_the_middle_of_a_day_is_replaced(world: ExtractWorld) -> None:
    at = datetime(2026, 2, 28, 9, tzinfo=UTC).timestamp()
    ids = world.emulator.add_activities(VISIT, range(1, 701), at)
    world.marketo = replace(world.marketo, transport=ForgetfulTransport)
    found = guids(read_here(world, date(2026, 2, 28), date(2026, 2, 28), groups=[(VISIT,)]))
    assert list(map(int, found)) == ids, "each once: what the first attempt had read is read again, not added to"


def test_two_runs_that_read_the_same_days_do_not_share_their_files(world: ExtractWorld) -> None:
    expected = [world.activity("2026-02-28T08:00:00"), world.activity("2026-02-28T09:00:00", CLICK)]
    day = date(2026, 2, 28)
    one = read_here(world, day, day, groups=[(VISIT,), (CLICK,)])
    other = read_here(world, day, day, groups=[(VISIT,), (CLICK,)])
    for read in one:
        read.remove()
    assert guids(other) == expected
    for read in other:
        read.remove()
    assert list(world.marketo.folder.iterdir()) == [], "nothing stays behind, not after a kill either"


def test_days_read_before_marketo_failed_are_marked_and_the_rest_is_not(world: ExtractWorld) -> None:
    for day in range(1, 11):
        world.activity(f"2026-02-{day:02}T10:00:00")
    world.marketo = replace(world.marketo, concurrent_calls=1)
    world.configure(("route: auto", "route: rest"), ("polling_interval: 5m", "polling_interval: 5m\n    lookback: 1d"))
    # One chain at a time, a page each: all is well until the fifth day.
    world.misbehave(Fault(PAGES, "error", code="610", every=5))
    failed = world.load("2026-02-01", "2026-02-10")
    assert "610" in world.failure(failed)
    assert world.materialized() == {"2026-02-01", "2026-02-02", "2026-02-03"}
    complete = world.rows("select day from ACTIVITY_LOADS where is_complete order by 1")
    assert [row["day"].day for row in complete] == [1, 2, 3]
    world.misbehave()
    assert world.load("2026-02-04", "2026-02-10").success
    assert len(world.guids()) == 10
    assert threading.active_count() < 20, "chains end with their run"


@pytest.mark.parametrize("marketo_options", [EmulatorOptions(latency_ms=30_000)])
def test_a_slow_marketo_is_waited_for(world: ExtractWorld) -> None:
    guid = world.activity("2026-02-28T08:00:00")
    (day,) = read_here(world, date(2026, 2, 28), date(2026, 2, 28), groups=[(VISIT,)])
    assert guids([day]) == [guid]
