"""What exists in Marketo, by its own word.

Guards against: a type that is quietly not read because of how its name is written, a change of the model that nobody
is told of or that is told of twice, and an extract that stands still because an administrator made a new type.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import dagster as dg
import pytest

from marketo_assets.config import ActivitiesConfig
from marketo_assets.extract.catalog import Catalog, Drift, chosen_fields, chosen_types
from marketo_assets.marketo.activities import ActivityAttribute, ActivityType
from marketo_assets.marketo.clock import VirtualClock
from marketo_assets.marketo.leads import LeadField
from marketo_assets.sandbox.marketo import activity_types as emulated
from marketo_assets.sandbox.marketo.faults import Fault
from marketo_assets.warehouse.session import Warehouse
from marketo_assets.warehouse.sql import statement
from marketo_assets_tests.extract.conftest import VISIT, ExtractWorld


def activity_type(type_id: int, name: str, **attributes: str) -> ActivityType:
    listed = tuple(ActivityAttribute(key, kind, None) for key, kind in attributes.items())
    return ActivityType(type_id, name, "", ActivityAttribute("Asset", "integer", None), listed, None)


VISITED, CLICKED, DELETED = (
    activity_type(1, "Visit Webpage", Url="string"),
    activity_type(3, "Click Link"),
    activity_type(37, "Delete Lead"),
)
TYPES = (VISITED, CLICKED, DELETED, activity_type(100_001, " Met  at Fair"))


def chosen(types: Sequence[str | int] | None, *excepted: str | int) -> tuple[tuple[int, ...], tuple[str, ...]]:
    listed = "all" if types is None else list(types)
    config = ActivitiesConfig.model_validate(
        {"start": date(2026, 1, 1), "types": listed, "except_types": list(excepted)}
    )
    found = chosen_types(config, TYPES)
    return found.ids, found.unknown


@pytest.mark.parametrize(
    ("types", "excepted", "ids", "unknown"),
    [
        (None, [], (1, 3, 100_001), ()),
        (None, ["visit webpage", 100_001], (3,), ()),
        (["Click Link", "Visit Webpage"], [], (1, 3), ()),
        (["  click LINK ", "visit  webpage", "MET at fair"], [], (1, 3, 100_001), ()),
        ([3, "1", "100001"], [], (1, 3, 100_001), ()),
        ([3, "3", "Click Link"], [], (3,), ()),
        (["Click Link", 1], ["1"], (3,), ()),
        (["Click Link", "Clik Link", 99], ["Nothing"], (3,), ("Clik Link", "99", "Nothing")),
        (["Click Link", "Delete Lead", 37], [], (3,), ()),
        (["Delete Lead"], [], (), ()),
    ],
)
def test_types_are_found_by_name_and_id_however_they_are_written(
    types: list[str | int] | None, excepted: list[str | int], ids: tuple[int, ...], unknown: tuple[str, ...]
) -> None:
    assert chosen(types, *excepted) == (ids, unknown)


def test_lead_fields_are_found_by_rest_name_and_display_name_once_each() -> None:
    fields = [
        LeadField("company", "Company Name", "string", 255, read_only=False),
        LeadField("email", "Email Address", "email", 255, read_only=False),
        LeadField("Email address", "Other", "string", 255, read_only=False),
    ]
    found, unknown = chosen_fields(["company  NAME", "Company", "email", "EMAIL address", "Nobody"], fields)
    assert [field.name for field in found] == ["company", "email", "Email address"]
    assert unknown == ["Nobody"]


@pytest.fixture
def catalog(warehouse: Warehouse, marketo_clock: VirtualClock) -> Catalog:
    warehouse.create(statement("marketo_assets.extract", "tables"))
    return Catalog(warehouse, "run 1", marketo_clock)


def test_each_change_of_a_type_is_one_row_with_its_time(
    catalog: Catalog, warehouse: Warehouse, marketo_clock: VirtualClock
) -> None:
    retyped = replace(VISITED, attributes=(ActivityAttribute("Url", "text", None),))
    renamed = replace(CLICKED, name="Click a Link")
    new = activity_type(100_002, "Called")
    looks = [
        ([VISITED, CLICKED], Drift(is_first_look=True)),
        ([CLICKED, VISITED], Drift()),
        ([VISITED, CLICKED, new], Drift(appeared=("Called",))),
        ([retyped, renamed, new], Drift(changed=("Visit Webpage", "Click a Link"))),
        ([retyped, new], Drift(vanished=("Click a Link",))),
        ([retyped, new], Drift()),
        ([retyped, CLICKED, new], Drift(appeared=("Click Link",))),
    ]
    for types, drift in looks:
        assert catalog.note_activity_types(types) == drift
        assert sorted(catalog.activity_types(), key=lambda each: each.id) == sorted(types, key=lambda each: each.id)
        marketo_clock.advance(3_600)
    rows = warehouse.rows("select type_id, name, is_present, seen_at, run_id from ACTIVITY_TYPES order by seen_at, 1")
    assert [(row["seen_at"].hour - 12, row["type_id"], row["name"], row["is_present"]) for row in rows] == [
        (0, 1, "Visit Webpage", True),
        (0, 3, "Click Link", True),
        (2, 100_002, "Called", True),
        (3, 1, "Visit Webpage", True),
        (3, 3, "Click a Link", True),
        (4, 3, "Click a Link", False),
        (6, 3, "Click Link", True),
    ]
    assert {row["run_id"] for row in rows} == {"run 1"}


def test_each_change_of_a_lead_field_is_one_row(
    catalog: Catalog, warehouse: Warehouse, marketo_clock: VirtualClock
) -> None:
    email = LeadField("email", "Email Address", "email", 255, read_only=False)
    odd = LeadField("o'd\"d\\x", "It's {odd} 100%", "string", None, read_only=True)
    assert catalog.lead_fields() == []
    assert catalog.note_lead_fields([email, odd]).is_first_look
    assert sorted(catalog.lead_fields(), key=lambda each: each.name) == [email, odd]
    marketo_clock.advance(60)
    assert catalog.note_lead_fields([replace(email, length=100), odd]) == Drift(changed=("Email Address",))
    marketo_clock.advance(60)
    assert catalog.note_lead_fields([odd]) == Drift(vanished=("Email Address",))
    assert catalog.lead_fields() == [odd]
    assert len(warehouse.rows("select * from LEAD_FIELDS")) == 4


def drift_of(result: dg.ExecuteInProcessResult) -> tuple[bool, dict[str, Any]]:
    (check,) = result.get_asset_check_evaluations()
    assert check.severity == dg.AssetCheckSeverity.WARN
    return check.passed, {name: value.value for name, value in check.metadata.items()}


NOTHING: dict[str, list[str]] = {"appeared": [], "vanished": [], "changed": []}


def test_the_drift_check_warns_with_names_and_the_run_is_green(world: ExtractWorld) -> None:
    assert drift_of(world.materialize("activity_types")) == (True, NOTHING), "the first look is no drift"
    world.go_to("2026-03-02T13:00:00")
    world.emulator.remove_activity_type(3)
    world.emulator.put_activity_type(emulated.ActivityType(100_001, "Met at Fair"))
    world.emulator.put_activity_type(
        emulated.ActivityType(1, "Visit Webpage", attributes=(emulated.ActivityAttribute("Seconds", "integer"),))
    )
    result = world.materialize("activity_types")
    assert result.success
    expected = {"appeared": ["Met at Fair"], "vanished": ["Click Link"], "changed": ["Visit Webpage"]}
    assert drift_of(result) == (False, expected)
    world.go_to("2026-03-02T14:00:00")
    assert drift_of(world.materialize("activity_types")) == (True, NOTHING), "told of once"


def test_a_change_that_a_load_met_first_is_still_told_of_by_the_check(world: ExtractWorld) -> None:
    world.configure(("New Lead,", "New Lead, Met at Fair,"))
    world.materialize("activity_types")
    world.go_to("2026-03-02T13:00:00")
    world.emulator.put_activity_type(emulated.ActivityType(100_001, "Met at Fair"))
    assert world.load("2026-03-02").success
    assert drift_of(world.materialize("activity_types")) == (False, NOTHING | {"appeared": ["Met at Fair"]})


def test_with_all_types_a_new_one_is_read_from_its_first_day_on(world: ExtractWorld) -> None:
    world.configure(("types: [Visit Webpage, Click Link, Send Email, New Lead, Delete Lead]", "types: all"))
    world.materialize("activity_types")
    assert world.load("2026-03-02").success
    world.emulator.put_activity_type(emulated.ActivityType(100_001, "Met at Fair"))
    guid = world.activity("2026-03-02T12:00:00", 100_001)
    world.go_to("2026-03-03T00:05:00")
    world.materialize("activity_types")
    world.go_to("2026-03-03T00:30:00")
    assert world.load("2026-03-02").success
    assert guid in world.guids()
    assert world.rows("select marketo_guid from activity_met_at_fair")[0]["marketo_guid"] == guid


@pytest.mark.parametrize("day", ["2026-03-01", "2026-03-02"])
def test_a_chosen_type_that_vanished_is_named_and_the_others_are_read(world: ExtractWorld, day: str) -> None:
    world.configure(("route: auto", "route: rest"))
    world.materialize("activity_types")
    guid = world.activity(f"{day}T10:00:00", VISIT)
    world.go_to("2026-03-02T12:05:00")
    world.emulator.remove_activity_type(3)
    for _ in ("before the model is looked at again", "and after"):
        result = world.load(day)
        assert result.success, world.failure(result)
        assert world.guids() == [guid]
        (check,) = [each for each in result.get_asset_check_evaluations() if each.check_name == "chosen_types_exist"]
        assert (check.passed, check.metadata["unknown"].value) == (False, ["Click Link"])
        assert world.materialize("activity_types").success


def test_a_refusal_that_no_vanished_type_explains_is_a_red_run(world: ExtractWorld) -> None:
    world.configure(("route: auto", "route: rest"))
    world.materialize("activity_types")
    world.misbehave(Fault("GET /rest/v1/activities.json", "error", code="1003", every=1))
    assert "1003" in world.failure(world.load("2026-03-01"))


def test_a_renamed_type_goes_on_by_its_id_and_is_named_where_it_was_asked_for_by_name(world: ExtractWorld) -> None:
    world.materialize("activity_types")
    (visit,) = [each for each in emulated.standard_types() if each.id == VISIT]
    world.emulator.put_activity_type(replace(visit, name="Visited"))
    world.go_to("2026-03-02T13:00:00")
    world.materialize("activity_types")
    guid = world.activity("2026-03-02T10:00:00", VISIT)
    result = world.load("2026-03-02")
    assert result.success
    assert not world.checks(result)["chosen_types_exist"]
    assert world.guids() == []
    world.configure(("[Visit Webpage,", f"[{VISIT},"))
    result = world.load("2026-03-02")
    assert world.checks(result)["chosen_types_exist"]
    assert world.guids() == [guid]


@pytest.mark.parametrize(
    ("types", "said"),
    [
        ("[Delete Lead]", "marketo.yaml leaves no activity type to read"),
        ("[Visit Webpge]", "marketo.yaml leaves no activity type to read; Marketo has no Visit Webpge"),
    ],
)
def test_a_choice_of_nothing_is_a_red_run_that_says_so(world: ExtractWorld, types: str, said: str) -> None:
    world.configure(("[Visit Webpage, Click Link, Send Email, New Lead, Delete Lead]", types))
    result = world.load("2026-03-01")
    (event,) = result.get_step_failure_events()
    failure = event.step_failure_data.user_failure_data
    assert failure is not None
    assert failure.description == said


def test_the_views_are_there_after_the_look_and_follow_the_model(world: ExtractWorld) -> None:
    kept = world.activity("2026-03-02T10:00:00", VISIT, attributes={"Client IP Address": "10.0.0.1", "Seconds": "7"})
    clicked = world.activity("2026-03-02T10:00:00", 3)
    world.materialize("activity_types")
    assert world.load("2026-03-02").success
    (row,) = world.rows("select * from activity_visit_webpage")
    assert (row["marketo_guid"], row["client_ip_address"], row["activity_date"]) == (
        kept,
        "10.0.0.1",
        datetime(2026, 3, 2, 10),  # noqa: DTZ001 - as the warehouse has it
    )
    assert "seconds" not in row
    (visit,) = [each for each in emulated.standard_types() if each.id == VISIT]
    attributes = (*visit.attributes, emulated.ActivityAttribute("Seconds", "integer"))
    world.emulator.put_activity_type(replace(visit, attributes=attributes))
    world.emulator.remove_activity_type(3)
    world.go_to("2026-03-03T00:05:00")
    world.materialize("activity_types")
    (row,) = world.rows("select * from activity_visit_webpage")
    assert row["seconds"] == 7
    (row,) = world.rows("select marketo_guid from activity_click_link")
    assert row["marketo_guid"] == clicked, "what has been read of a type that is gone stays to be seen"
