"""Leads deleted in Marketo.

Guards against: a lead counted as deleted twice, deletes lost at the edge of two readings or with a token that went bad,
and deletes that Marketo had forgotten before anybody asked, without a word.
"""

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from marketo_assets.marketo.client import MarketoClient
from marketo_assets.sandbox.marketo.faults import Fault
from marketo_assets_tests.extract.conftest import ExtractWorld

DELETES = "GET /rest/v1/activities/deletedleads.json"
TOKEN = "GET /rest/v1/activities/pagingtoken.json"


def delete(world: ExtractWorld, *lead_ids: int) -> None:
    with world.marketo.client() as client:
        rows = ",".join(f'{{"id":{number}}}' for number in lead_ids)
        client.request("POST", "/rest/v1/leads/delete.json", json_body=f'{{"input":[{rows}]}}'.encode())


def read(world: ExtractWorld) -> tuple[dg.ExecuteInProcessResult, dict[str, Any]]:
    result = world.materialize("deleted_leads")
    return result, world.metadata(result)[None]


def stored(world: ExtractWorld) -> list[int]:
    return [row["lead_id"] for row in world.rows("select lead_id from DELETED_LEADS order by 1")]


def test_each_deleted_lead_is_one_row_with_its_time(world: ExtractWorld) -> None:
    delete(world, 3, 5)
    world.go_to("2026-03-02T12:10:00")
    _, found = read(world)
    assert (found["rows_read"], found["rows_new"]) == (2, 2)
    rows = world.rows("select lead_id, deleted_at, marketo_guid from DELETED_LEADS order by 1")
    assert [(row["lead_id"], row["deleted_at"].replace(tzinfo=UTC)) for row in rows] == [
        (number, datetime(2026, 3, 2, 12, tzinfo=UTC)) for number in (3, 5)
    ]
    assert len({row["marketo_guid"] for row in rows}) == 2
    assert set(rows[0]) == {"lead_id", "deleted_at", "marketo_guid"}


def test_a_lead_that_the_feed_has_twice_is_one_row_with_the_first_time(world: ExtractWorld) -> None:
    first = world.activity("2026-03-02T11:00:00", 37, lead_id=7)
    world.activity("2026-03-02T11:30:00", 37, lead_id=7)
    _, found = read(world)
    assert (found["rows_read"], found["rows_new"]) == (2, 1)
    world.activity("2026-03-02T11:45:00", 37, lead_id=7)
    _, found = read(world)
    assert (found["rows_read"], found["rows_new"]) == (1, 0)
    (row,) = world.rows("select marketo_guid, deleted_at from DELETED_LEADS")
    assert (row["marketo_guid"], row["deleted_at"].hour) == (first, 11)


def test_a_reading_goes_on_where_the_last_one_ended_over_many_pages(world: ExtractWorld) -> None:
    world.emulator.add_activities(37, range(1_000, 1_700), world.clock.now() - 60)
    result, found = read(world)
    assert result.success
    assert (found["rows_new"], found["api_calls"]) == (700, 5), "signing in, a token and three pages"
    _, found = read(world)
    assert (found["rows_read"], found["api_calls"]) == (0, 1)
    world.activity("2026-03-02T11:00:00", 37, lead_id=7)
    _, found = read(world)
    assert (found["rows_new"], found["api_calls"]) == (1, 1)
    assert len(stored(world)) == 701


def test_a_reading_that_breaks_off_keeps_its_pages_and_the_next_goes_on(world: ExtractWorld) -> None:
    world.emulator.add_activities(37, range(1_000, 1_700), world.clock.now() - 60)
    world.misbehave(Fault(DELETES, "error", code="603", every=2))
    assert "603" in world.failure(world.materialize("deleted_leads"))
    assert len(stored(world)) == 300
    world.misbehave()
    _, found = read(world)
    assert (found["rows_read"], found["rows_new"]) == (400, 400)


def test_a_token_that_went_bad_is_replaced_by_one_from_before_the_last_reading(world: ExtractWorld) -> None:
    world.activity("2026-03-02T11:00:00", 37, lead_id=1)
    read(world)
    world.go_to("2026-03-04T12:00:00")
    world.activity("2026-03-04T11:00:00", 37, lead_id=2)
    world.misbehave(Fault(DELETES, "error", code="1003", first=1))
    _, found = read(world)
    assert found["rows_new"] == 1
    assert stored(world) == [1, 2]
    world.misbehave(Fault(DELETES, "error", code="1003", first=2))
    assert "1003" in world.failure(world.materialize("deleted_leads")), "replaced once, not for ever"


def test_a_first_token_that_is_refused_is_a_red_run(world: ExtractWorld) -> None:
    world.misbehave(Fault(DELETES, "error", code="1003", every=1))
    assert "1003" in world.failure(world.materialize("deleted_leads"))
    assert world.rows("select * from SYNC_WATERMARKS") == []


@pytest.mark.parametrize(("days", "gap"), [(13, None), (14, ("2026-03-02T11:00:00", "2026-03-02T12:00:00"))])
def test_a_gap_of_more_than_14_days_is_named_by_the_check(
    world: ExtractWorld, days: int, gap: tuple[str, str] | None
) -> None:
    world.configure(("start: 2026-01-01", "start: 2026-03-01"))
    result, _ = read(world)
    assert world.checks(result) == {"no_deletes_forgotten": True}
    world.go_to(f"2026-03-{2 + days}T12:00:00")
    result, _ = read(world)
    (check,) = result.get_asset_check_evaluations()
    assert (check.passed, check.severity) == (gap is None, dg.AssetCheckSeverity.WARN)
    told = {name: value.value for name, value in check.metadata.items()}
    assert told == ({} if gap is None else {"from": f"{gap[0]}+00:00", "to": f"{gap[1]}+00:00"})
    result, _ = read(world)
    assert world.checks(result) == {"no_deletes_forgotten": True}, "told of once"


def test_a_start_before_what_marketo_remembers_is_named_once_and_no_fault(world: ExtractWorld) -> None:
    result, _ = read(world)
    (check,) = result.get_asset_check_evaluations()
    assert check.passed
    assert check.metadata["from"].value == "2026-01-01T00:00:00+00:00"
    assert check.metadata["to"].value == "2026-02-16T12:00:00+00:00"
    result, _ = read(world)
    (check,) = result.get_asset_check_evaluations()
    assert (check.passed, check.metadata) == (True, {})


def test_a_token_that_goes_bad_after_an_error_in_the_middle_of_days_loses_no_delete(world: ExtractWorld) -> None:
    read(world)
    world.go_to("2026-03-03T12:00:00")
    leads = list(range(1_001, 1_601))
    world.emulator.add_activities(37, leads, int(world.clock.now()))
    world.go_to("2026-03-05T12:00:00")
    world.misbehave(Fault(DELETES, "error", code="603", every=2))
    assert not world.materialize("deleted_leads").success
    assert len(stored(world)) == 300
    world.misbehave(Fault(DELETES, "error", code="1003", first=1))
    read(world)
    assert stored(world) == leads


def test_the_name_of_a_deleted_lead_is_kept_nowhere(world: ExtractWorld) -> None:
    with world.marketo.client() as client:
        name = next(iter(client_names(client)))
    delete(world, 1)
    read(world)
    tables = world.rows("select table_name from information_schema.tables where table_schema = current_schema()")
    held = [world.rows(f"select * from {table['table_name']}") for table in tables]
    assert name not in str(held)


def client_names(client: MarketoClient) -> list[str]:
    """The last names of leads, as Marketo would tell them."""
    reply = client.request("GET", "/rest/v1/lead/1.json", params={"fields": "lastName"})
    return [lead["lastName"] for lead in reply.result]
