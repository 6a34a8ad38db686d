"""Days of activities through Dagster.

Guards against: days marked that were not loaded, rows lost or doubled by a second load, a route with another result,
quota spent twice.
"""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
import requests

from marketo_assets.sandbox.marketo import EmulatorOptions, EmulatorTransport
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
        "today_is_like_its_weekday",
    }
    # Yesterday was not asked for.
    assert {name for name, passed in checks.items() if not passed} == {"latest_closed_day_is_loaded"}


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


@pytest.mark.parametrize("route", ["bulk", "rest"])
def test_a_second_load_doubles_nothing_and_counts_what_came_late(world: ExtractWorld, route: str) -> None:
    world.configure(("route: auto", f"route: {route}"))
    guids = [world.activity("2026-02-28T00:00:00"), world.activity("2026-02-28T23:59:59", CLICK)]
    first = world.metadata(world.load("2026-02-28"))["2026-02-28"]
    assert (first["rows_read"], first["rows_new"], first["rows_late"]) == (2, 2, 0)
    guids.append(world.activity("2026-02-28T12:00:00"))
    again = world.load("2026-02-28")
    second = world.metadata(again)["2026-02-28"]
    assert (second["rows_read"], second["rows_new"], second["rows_late"]) == (3, 1, 1)
    assert second["dagster/partition_row_count"] == 3
    assert world.guids() == sorted(guids)
    assert world.checks(again)["rows_read_are_rows_stored"]
    assert world.checks(again)["no_guid_twice"]
    third = world.metadata(world.load("2026-02-28"))["2026-02-28"]
    assert (third["rows_read"], third["rows_new"], third["rows_late"]) == (3, 0, 0)
    assert world.guids() == sorted(guids)


@pytest.mark.parametrize("route", ["bulk", "rest"])
@pytest.mark.parametrize(
    "marketo_options",
    [EmulatorOptions(), EmulatorOptions(empty_export_is_header=False, export_end_is_inclusive=False)],
    ids=["as documented", "the other way"],
)
def test_an_empty_day_beside_full_ones_is_loaded_and_stays_empty(world: ExtractWorld, route: str) -> None:
    world.configure(("route: auto", f"route: {route}"))
    world.activity("2026-02-19T23:59:59")
    world.activity("2026-02-21T00:00:00")
    result = world.load("2026-02-20")
    told = world.metadata(result)["2026-02-20"]
    assert (told["rows_read"], told["rows_new"], told["dagster/partition_row_count"]) == (0, 0, 0)
    assert world.materialized() == {"2026-02-20"}
    # What another day's rows were stored on the way is no reason to call that day loaded.
    assert world.rows("select day from ACTIVITY_LOADS") == [{"day": date(2026, 2, 20)}]
    assert world.rows("select * from ACTIVITIES where to_date(activity_date) = '2026-02-20'") == []


def test_32_days_are_two_jobs_and_every_day_is_marked(world: ExtractWorld) -> None:
    guids = [world.activity("2026-01-01T00:00:00"), world.activity("2026-02-01T23:59:59")]
    result = world.load("2026-01-01", "2026-02-01")
    assert result.success, world.failure(result)
    assert world.guids() == sorted(guids)
    assert world.materialized() == set(days("2026-01-01", "2026-02-01"))
    jobs = world.rows("select first_day, last_day, state from EXPORT_JOBS order by 1")
    assert [tuple(job.values()) for job in jobs] == [
        (date(2026, 1, 1), date(2026, 1, 31), "loaded"),
        (date(2026, 2, 1), date(2026, 2, 1), "loaded"),
    ]


@pytest.mark.parametrize("marketo_options", [EmulatorOptions(short_lived_activity_days=None)])
@pytest.mark.parametrize("route", ["bulk", "rest"])
def test_a_night_of_changing_clocks_has_its_24_hours_of_utc(world: ExtractWorld, route: str) -> None:
    world.configure(("route: auto", f"route: {route}"), ("start: 2026-01-01", "start: 2025-01-01"))
    # Europe 30 March and 26 October, US Central 9 March and 2 November: neighbours of the night's every hour.
    for night in ("2025-03-09", "2025-11-02"):
        guids = [world.activity(f"{night}T{hour:02}:59:59") for hour in range(24)]
        told = world.metadata(world.load(night))[night]
        assert (told["rows_read"], told["dagster/partition_row_count"]) == (24, 24)
        assert set(guids) <= set(world.guids())


@pytest.mark.parametrize("route", ["bulk", "rest"])
def test_more_types_than_a_call_takes_are_all_read(world: ExtractWorld, route: str) -> None:
    types = "types: [Visit Webpage, Click Link, Send Email, New Lead, Delete Lead]"
    world.configure(("route: auto", f"route: {route}"), (types, "types: all"))
    known = [1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13, 21, 22, 23, 24, 25, 46, 47]
    guids = [world.activity("2026-02-28T10:00:00", type_id) for type_id in known]
    result = world.load("2026-02-28")
    assert result.success, world.failure(result)
    assert world.guids() == sorted(guids)
    assert len(world.rows("select * from EXPORT_JOBS")) == (1 if route == "bulk" else 0)


class LeapSecondTransport(EmulatorTransport):
    """Marketo's clock shows the second 60."""

    def send(self, request: requests.PreparedRequest, *arguments: Any, **named: Any) -> requests.Response:
        response = super().send(request, *arguments, **named)
        response._content = response.content.replace(b"T23:59:59Z", b"T23:59:60Z")
        return response


def test_a_leap_second_belongs_to_the_day_that_it_ends(world: ExtractWorld) -> None:
    world.marketo = replace(world.marketo, transport=LeapSecondTransport)
    world.configure(("route: auto", "route: rest"))
    guid = world.activity("2026-02-28T23:59:59")
    told = world.metadata(world.load("2026-02-28"))["2026-02-28"]
    assert (told["rows_read"], world.guids()) == (1, [guid])
