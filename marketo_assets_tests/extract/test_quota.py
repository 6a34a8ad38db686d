"""Days that a daily quota does not reach for, and what the next day makes of them.

Guards against: work that is lost or marked without being done when a quota ends, a quota that is hammered, days that
nobody comes back for, and jobs that are paid for and forgotten.
"""

from collections.abc import Sequence
from datetime import date

import pytest

from marketo_assets.extract.assets import DAYS_LEFT_TAG
from marketo_assets.resume import RESUME_AFTER_TAG, STOPPED_TAG
from marketo_assets.sandbox.marketo import EmulatorOptions
from marketo_assets.sandbox.marketo.faults import Fault
from marketo_assets_tests.extract.conftest import ExtractWorld, days

ENQUEUE = "POST /bulk/v1/activities/export/*/enqueue.json"
CREATE = "POST /bulk/v1/activities/export/create.json"
PAGES = "GET /rest/v1/activities.json"
NO_MEGABYTES = "Export daily quota 500MB exceeded"
# Midnight in US Central is six in the morning in UTC.
NEXT_QUOTA = "2026-03-03T06:00:00+00:00"


def a_row_a_day(world: ExtractWorld, first: str, last: str) -> list[str]:
    return [world.activity(f"{day}T10:00:00") for day in days(first, last)]


def learn_the_size_of_a_day(world: ExtractWorld, rows_per_day: int, byte_count: int) -> None:
    """As after a load of another day of that many rows of so many bytes each."""
    assert world.materialize("activity_types").success
    assert world.load("2026-01-01").success
    world.warehouse.execute("update ACTIVITY_LOADS set rows_read = %(rows)s", rows=rows_per_day)
    world.warehouse.execute("update EXPORT_JOBS set row_count = 1, byte_count = %(size)s", size=byte_count)


def tags(world: ExtractWorld) -> Sequence[str | None]:
    """What the last run left for the sensor."""
    run = world.instance.get_run_by_id(world.runs[-1].run_id)
    assert run is not None
    return [run.tags.get(name) for name in (STOPPED_TAG, DAYS_LEFT_TAG, RESUME_AFTER_TAG)]


def test_without_megabytes_days_come_by_rest_as_far_as_the_calls_reach(world: ExtractWorld) -> None:
    learn_the_size_of_a_day(world, 300_000, 1_000)
    a_row_a_day(world, "2026-02-01", "2026-02-10")
    # 300 MB and 1,001 calls a day: one by bulk, and of the 40,000 calls a day that are ours enough for all the others.
    result = world.load("2026-02-01", "2026-02-10")
    assert result.success, world.failure(result)
    told = world.metadata(result)
    assert [told[day]["route"] for day in days("2026-02-01", "2026-02-10")] == ["bulk", *["rest"] * 9]
    assert "300.0 MB of 500.0 MB left today" in told["2026-02-01"]["route_reason"]
    assert "calls left" in told["2026-02-02"]["route_reason"]


def test_over_quota_keeps_what_is_done_says_what_is_left_and_the_next_day_finishes_it(world: ExtractWorld) -> None:
    # 300 MB and 10,001 calls a day: one day by bulk, and none by REST beside its three days of late arrivals.
    learn_the_size_of_a_day(world, 3_000_000, 100)
    guids = a_row_a_day(world, "2026-02-01", "2026-02-04")
    failed = world.load("2026-02-01", "2026-02-04")
    assert "3 days are left for tomorrow, from 2026-02-02 on" in world.failure(failed)
    assert f"Resumes at {NEXT_QUOTA}" in world.failure(failed)
    assert world.materialized() == {"2026-01-01", "2026-02-01"}
    assert tags(world) == ["marketo/activities", "2026-02-02...2026-02-04", NEXT_QUOTA]
    assert world.guids() == guids[:1]
    world.go_to("2026-03-03T06:00:01")
    world.warehouse.execute("update EXPORT_JOBS set byte_count = 1, row_count = 1")
    assert world.load("2026-02-02", "2026-02-04").success
    assert world.guids() == guids
    assert world.materialized() == {"2026-01-01", *days("2026-02-01", "2026-02-04")}


@pytest.mark.parametrize("marketo_options", [EmulatorOptions(export_quota_bytes=1)])
def test_a_quota_that_ends_between_two_jobs_keeps_the_first(world: ExtractWorld) -> None:
    world.configure(("route: auto", "route: bulk"))
    guids = [world.activity("2026-01-15T10:00:00"), world.activity("2026-02-05T10:00:00")]
    world.misbehave(Fault(CREATE, "error", code="1029", message=NO_MEGABYTES, every=2))
    assert NO_MEGABYTES in world.failure(world.load("2026-01-01", "2026-02-05"))
    assert world.guids() == guids[:1]
    assert world.materialized() == set(days("2026-01-01", "2026-01-31"))
    assert tags(world) == ["marketo/activities", "2026-02-01...2026-02-05", NEXT_QUOTA]
    world.misbehave()
    assert NO_MEGABYTES.replace("500", "0") in world.failure(world.load("2026-02-01", "2026-02-05"))
    world.go_to("2026-03-03T06:00:01")
    assert world.load("2026-02-01", "2026-02-05").success
    assert world.guids() == guids


def test_auto_goes_on_by_rest_where_marketo_says_that_there_are_no_megabytes(world: ExtractWorld) -> None:
    learn_the_size_of_a_day(world, 30_000, 1_000)
    guids = a_row_a_day(world, "2026-02-01", "2026-02-03")
    # Others have used them up: this API user does not see their jobs.
    world.misbehave(Fault(ENQUEUE, "error", code="1029", message=NO_MEGABYTES, every=1))
    result = world.load("2026-02-01", "2026-02-03")
    assert result.success, world.failure(result)
    assert world.guids() == guids
    assert {told["route"] for day, told in world.metadata(result).items() if day} == {"rest"}


def test_a_day_of_unknown_size_waits_for_megabytes(world: ExtractWorld) -> None:
    world.activity("2026-02-01T10:00:00")
    world.misbehave(Fault(CREATE, "error", code="1029", message="Export daily quota exceeded", every=1))
    failure = world.failure(world.load("2026-02-01"))
    assert "how large these days are is unknown" in failure
    assert NEXT_QUOTA in failure
    assert world.materialized() == set()
    assert tags(world) == ["marketo/activities", "2026-02-01...2026-02-01", NEXT_QUOTA]


def test_the_end_of_the_calls_keeps_the_days_that_were_read_by_rest(world: ExtractWorld) -> None:
    world.configure(("route: auto", "route: rest"), ("polling_interval: 5m", "polling_interval: 5m\n    lookback: 1d"))
    guids = a_row_a_day(world, "2026-02-01", "2026-02-10")
    world.misbehave(Fault(PAGES, "error", code="607", every=5))
    # Several chains are under way: the error of the first day that it cost may be ours already, after Marketo's 607.
    assert f"Resumes at {NEXT_QUOTA}" in world.failure(world.load("2026-02-01", "2026-02-10"))
    assert world.emulator.errors()["607"] >= 1
    done = world.materialized()
    assert done < set(days("2026-02-01", "2026-02-10"))
    assert sorted(done) == days("2026-02-01", "2026-02-10")[: len(done)]
    assert tags(world)[1] == f"{days('2026-02-01', '2026-02-10')[len(done)]}...2026-02-10"
    complete = {row["day"].isoformat() for row in world.rows("select day from ACTIVITY_LOADS where is_complete")}
    assert complete == done
    calls = world.emulator.calls()
    assert "budget" in world.failure(world.load("2026-02-01", "2026-02-10"))
    assert world.emulator.calls() == calls, "nothing is asked of Marketo until there is a new quota"
    world.misbehave()
    world.go_to("2026-03-03T06:00:01")
    assert world.load("2026-02-01", "2026-02-10").success
    assert world.guids() == sorted(guids)


def test_a_quota_that_is_gone_before_the_first_call_is_resumed_too(world: ExtractWorld) -> None:
    world.misbehave(Fault("GET *", "error", code="607", every=1))
    assert "607" in world.failure(world.load("2026-02-01"))
    assert tags(world) == ["marketo/activities", "2026-02-01...2026-02-01", NEXT_QUOTA]


def test_the_poll_that_met_the_end_of_the_quota_is_made_up_for(world: ExtractWorld) -> None:
    assert world.load("2026-03-02").success
    guid = world.activity("2026-03-02T12:00:00")
    world.misbehave(Fault(PAGES, "error", code="607", every=1))
    assert "607" in world.failure(world.load("2026-03-02"))
    assert tags(world)[1] == "2026-03-02...2026-03-02"
    world.misbehave()
    world.go_to("2026-03-03T06:00:01")
    assert world.load("2026-03-03").success
    assert world.guids() == [guid]
    assert world.rows("select day from ACTIVITY_LOADS where rows_new > 0") == [{"day": date(2026, 3, 2)}]
