"""Days of activities through Dagster.

Guards against: days marked that were not loaded, rows lost or doubled by a second load, a route with another result,
quota spent twice.
"""

from marketo_assets_tests.extract.conftest import CLICK, ExtractWorld, days


def test_a_range_of_days_is_one_job_and_every_day_is_marked(world: ExtractWorld) -> None:
    guids = [world.activity(f"2026-02-{day:02}T10:00:00") for day in range(1, 29)]
    result = world.load("2026-02-01", "2026-02-28")
    assert result.success, world.failure(result)
    assert world.guids() == sorted(guids)
    assert world.materialized() == set(days("2026-02-01", "2026-02-28"))
    assert world.metadata(result)["2026-02-03"]["rows_new"] == 1
    assert len(world.rows("select * from EXPORT_JOBS")) == 1
    checks = world.checks(result)
    assert {name for name, passed in checks.items() if passed} == {
        "rows_read_are_rows_stored",
        "no_guid_twice",
        "chosen_types_exist",
    }
    # Yesterday was not asked for, and four Mondays had a row by this time where today has none.
    assert {name for name, passed in checks.items() if not passed} == {
        "latest_closed_day_is_loaded",
        "today_is_like_its_weekday",
    }


def test_both_routes_store_the_same_rows(world: ExtractWorld) -> None:
    world.activity("2026-02-27T23:59:59", attributes={"Client IP Address": "10.0.0.1", "Query Parameters": 'a "b"'})
    world.activity("2026-02-28T00:00:00", CLICK, primary="a,b\nc")
    world.activity("2026-02-28T23:59:59")
    stored = {}
    for route in ("bulk", "rest"):
        world.configure(("route: auto", f"route: {route}"))
        result = world.load("2026-02-28")
        assert result.success, world.failure(result)
        columns = "marketo_guid, lead_id, activity_date, activity_type_id, primary_attribute_value, attributes"
        stored[route] = world.rows(f"select {columns} from ACTIVITIES where activity_date >= '2026-02-28' order by 1")
    assert stored["bulk"] == stored["rest"]
    assert len(stored["rest"]) == 2
