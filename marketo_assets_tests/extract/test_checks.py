"""The asset checks: each passes where all is well and fails for its own reason alone.

Guards against: a check that is green whatever happens, one that cries wolf every night, and one that stands in the way
of data that is right.
"""

from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from marketo_assets.extract.catalog import Chosen
from marketo_assets.extract.checks import activity_results, activity_specs, agreement_result
from marketo_assets.extract.load import Loaded
from marketo_assets.extract.rows import from_rest
from marketo_assets.extract.store import ActivityStore, DayCounts
from marketo_assets.marketo.clock import VirtualClock, utc_now
from marketo_assets.sandbox.marketo import Emulator
from marketo_assets.warehouse.session import Warehouse
from marketo_assets_tests.extract.conftest import CLICK, VISIT, ExtractWorld, days

TODAY = "2026-03-02"
MONDAYS = ("2026-02-02", "2026-02-09", "2026-02-16", "2026-02-23")


def check(result: dg.ExecuteInProcessResult, name: str) -> dg.AssetCheckEvaluation:
    (found,) = [each for each in result.get_asset_check_evaluations() if each.check_name == name]
    return found


def told(found: dg.AssetCheckEvaluation) -> dict[str, Any]:
    return {name: value.value for name, value in found.metadata.items()}


def add(emulator: Emulator, count: int, at: str) -> None:
    seconds = datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp()
    emulator.add_activities(VISIT, [number % 20 + 1 for number in range(count)], seconds)


def test_all_is_well_on_an_ordinary_day(world: ExtractWorld) -> None:
    for day in (*days("2026-02-27", TODAY), *MONDAYS):
        add(world.emulator, 20, f"{day}T10:00:00")
    assert world.load("2026-02-01", "2026-03-01").success
    result = world.load(TODAY)
    assert set(world.checks(result).values()) == {True}
    assert told(check(result, "rows_read_are_rows_stored")) == {"rows_read": 160, "rows_stored": 160}, (
        "all of it was committed today"
    )
    found = told(check(result, "today_is_like_its_weekday"))
    assert (found["rows_today"], found["usual_until_then"], found["weekdays_compared"]) == (20, 20.0, 4)


def test_rows_that_are_not_found_afterwards_fail_the_blocking_check(
    warehouse: Warehouse, marketo_clock: VirtualClock
) -> None:
    store = ActivityStore(warehouse, "run", marketo_clock)
    store.create_tables()
    day = date(2026, 3, 1)
    with store.added(rows_of("2026-03-01", 5, 10)) as counts:
        pass

    def judged() -> dict[str | None, bool]:
        loaded = [Loaded([day], "rest", "", counts)]
        results = activity_results(store, loaded, Chosen((), ()), utc_now(marketo_clock))
        return {each.check_name: each.passed for each in results}

    assert judged()["rows_read_are_rows_stored"]
    counts.stored[day] -= 1
    assert not judged()["rows_read_are_rows_stored"]
    specs = {spec.name: spec.blocking for spec in activity_specs(dg.AssetKey("activities"))}
    assert [name for name, is_blocking in specs.items() if is_blocking] == ["rows_read_are_rows_stored"]


def test_a_guid_in_two_rows_is_seen(world: ExtractWorld) -> None:
    for hour in (10, 11):
        world.activity(f"2026-03-01T{hour}:00:00")
    assert check(world.load("2026-03-01"), "no_guid_twice").passed
    world.warehouse.execute("update ACTIVITIES set marketo_guid = 'of another program'")
    found = check(world.load("2026-03-01"), "no_guid_twice")
    assert (found.passed, told(found)) == (False, {"guids_held_twice": 1})


def test_yesterday_may_be_missing_until_the_morning(world: ExtractWorld) -> None:
    assert world.load("2026-02-28", "2026-03-01").success
    world.go_to("2026-03-03T05:59:00")
    result = world.load("2026-03-01")
    found = check(result, "latest_closed_day_is_loaded")
    assert (found.passed, told(found)["day"]) == (True, "2026-03-01")
    world.go_to("2026-03-03T06:00:00")
    found = check(world.load("2026-03-01"), "latest_closed_day_is_loaded")
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert told(found) == {"day": "2026-03-02", "loaded_at": "never"}
    assert check(world.load("2026-03-02"), "latest_closed_day_is_loaded").passed


def test_a_day_that_was_only_polled_while_it_was_open_is_not_taken_for_loaded(world: ExtractWorld) -> None:
    assert world.load(TODAY).success
    world.go_to("2026-03-03T07:00:00")
    found = check(world.load("2026-03-03"), "latest_closed_day_is_loaded")
    assert (found.passed, told(found)["loaded_at"]) == (False, "never")


def rows_of(day: str, count: int, hour: int) -> pa.Table:
    at = datetime.fromisoformat(f"{day}T{hour:02}:00:00").replace(tzinfo=UTC).isoformat()
    return from_rest(
        [
            {"id": f"{day} {hour} {number}", "leadId": 1, "activityDate": at, "activityTypeId": VISIT}
            for number in range(count)
        ]
    )


def test_today_is_compared_with_its_weekday_where_there_is_some_history(
    warehouse: Warehouse, marketo_clock: VirtualClock
) -> None:
    store = ActivityStore(warehouse, "run", marketo_clock)
    store.create_tables()
    noon = utc_now(marketo_clock)
    with store.transaction():
        store.record_loads([noon.date()], DayCounts(), "rest", is_complete=False)

    def judged(today: int, mondays: int) -> tuple[bool, Any, Any]:
        warehouse.execute("delete from ACTIVITIES")
        rows = [rows_of(TODAY, today, 9), rows_of("2026-03-01", 500, 9)]
        rows += [rows_of(day, *each) for day in MONDAYS[:mondays] for each in ((10, 11), (500, 12))]
        with store.added(pa.concat_tables(rows)):
            pass
        results = activity_results(store, [], Chosen((), ()), noon)
        (found,) = [each for each in results if each.check_name == "today_is_like_its_weekday"]
        assert found.severity == dg.AssetCheckSeverity.WARN
        return found.passed, found.metadata["rows_today"].value, found.metadata["usual_until_then"].value

    cases = [(0, 4, False), (2, 4, False), (3, 4, True), (30, 4, True), (31, 4, False), (0, 2, False), (0, 1, True)]
    for today, mondays, passes in [*cases, (9, 0, True)]:
        assert judged(today, mondays) == (passes, today, 10.0 if mondays > 1 else 0.0), "what came until noon"


def test_today_is_judged_by_its_last_poll_and_not_at_all_before_the_first(world: ExtractWorld) -> None:
    for day in MONDAYS:
        add(world.emulator, 10, f"{day}T10:00:00")
        add(world.emulator, 500, f"{day}T13:30:00")
    result = world.load("2026-02-02", "2026-03-01")
    found = check(result, "today_is_like_its_weekday")
    assert (found.passed, told(found)["read_at"]) == (True, "not read today"), "a backfill says nothing of today"
    add(world.emulator, 10, f"{TODAY}T10:00:00")
    assert world.load(TODAY).success
    world.go_to(f"{TODAY}T14:00:00")
    assert check(world.load("2026-02-28"), "today_is_like_its_weekday").passed


def test_both_routes_agree_on_a_sampled_day_and_nothing_is_stored(world: ExtractWorld) -> None:
    world.activity("2026-02-27T23:59:59")
    world.activity("2026-02-28T00:00:00", CLICK)
    world.activity("2026-02-28T23:59:59")
    world.activity("2026-03-01T00:00:00")
    result = world.materialize("activities_by_both_routes", partition_key="2026-02-28")
    assert result.success, world.failure(result)
    assert told(check(result, "both_routes_agree")) == {
        "day": "2026-02-28",
        "both": 2,
        "only_bulk": 0,
        "only_rest": 0,
    }
    assert world.guids() == []


@pytest.mark.parametrize(("bulk", "rest"), [(1, 0), (0, 1), (3, 2)])
def test_routes_that_differ_fail_the_check(bulk: int, rest: int) -> None:
    day = datetime(2026, 2, 28, tzinfo=UTC).date()
    assert not agreement_result(day, {"only_bulk": bulk, "only_rest": rest}, 5).passed
    assert agreement_result(day, {"only_bulk": 0, "only_rest": 0}, 0).passed
