"""Details of the leads that activities name.

Guards against: leads that are asked for again with every poll, missing ones above all, a configured field that is left
out without a word, and calls whose answers are thrown away because a later one failed.
"""

from typing import Any

import orjson

from marketo_assets.extract.assets import DAYS_LEFT_TAG
from marketo_assets.resume import STOPPED_TAG
from marketo_assets.sandbox.marketo.faults import Fault
from marketo_assets_tests.extract.conftest import VISIT, ExtractWorld

DAY = "2026-03-02"
LEADS = "GET /rest/v1/leads.json"


def happened(world: ExtractWorld, *lead_ids: int, at: str = f"{DAY}T10:00:00") -> None:
    for lead_id in lead_ids:
        world.activity(at, lead_id=lead_id)


def look_up(world: ExtractWorld, first: str = DAY, last: str | None = None) -> dict[str, Any]:
    """Load the days and look their leads up; metadata of the look-up."""
    result = world.load(first, last)
    assert result.success, world.failure(result)
    result = world.load(first, last, key="activity_leads")
    return next(iter(world.metadata(result).values()))


def known(world: ExtractWorld) -> dict[int, tuple[bool, dict[str, Any]]]:
    rows = world.rows("select lead_id, is_missing, fields::varchar as fields from ACTIVITY_LEADS order by 1")
    return {row["lead_id"]: (row["is_missing"], orjson.loads(row["fields"])) for row in rows}


def test_only_leads_that_are_unknown_are_asked_for(world: ExtractWorld) -> None:
    world.materialize("lead_fields")
    happened(world, 1, 2, 2, 3)
    found = look_up(world)
    assert (found["leads_read"], found["leads_missing"], found["api_calls"]) == (3, 0, 1)
    assert (found["fields"], found["unknown_fields"]) == (["email", "company"], [])
    leads = {lead["id"]: lead for lead in world.emulator.leads(["email", "company"])}
    assert known(world) == {
        number: (False, {"email": leads[number]["email"], "company": leads[number]["company"]}) for number in (1, 2, 3)
    }
    happened(world, 1, 4)
    assert look_up(world)["leads_read"] == 1
    assert look_up(world)["api_calls"] == 0
    assert set(known(world)) == {1, 2, 3, 4}


def test_leads_known_for_longer_than_asked_are_asked_for_again(world: ExtractWorld) -> None:
    world.configure(("polling_interval: 5m", "polling_interval: 5m\n    lead_max_age: 6h"))
    world.materialize("lead_fields")
    happened(world, 1)
    assert look_up(world)["leads_read"] == 1
    world.go_to(f"{DAY}T17:59:00")
    assert look_up(world)["leads_read"] == 0
    world.go_to(f"{DAY}T18:01:00")
    assert look_up(world)["leads_read"] == 1
    assert len(known(world)) == 1


def test_leads_read_with_other_fields_are_asked_for_again(world: ExtractWorld) -> None:
    world.materialize("lead_fields")
    happened(world, 1)
    look_up(world)
    world.configure(("[email, Company Name]", "[Company Name, email]"))
    assert look_up(world)["leads_read"] == 0, "the order of the fields does not matter"
    world.configure(("[email, Company Name]", "[email, country]"))
    assert look_up(world)["leads_read"] == 1
    assert known(world)[1][1].keys() == {"email", "country"}


def test_leads_of_other_days_are_not_asked_for(world: ExtractWorld) -> None:
    happened(world, 1, at="2026-02-27T23:59:59")
    happened(world, 2, at="2026-02-28T00:00:00")
    happened(world, 3, at="2026-03-01T23:59:59")
    happened(world, 4)
    assert world.load("2026-02-27", DAY).success
    assert world.load("2026-02-28", "2026-03-01", key="activity_leads").success
    assert set(known(world)) == {2, 3}
    assert world.materialized("activity_leads") == {"2026-02-28", "2026-03-01"}


def test_300_leads_are_one_call(world: ExtractWorld) -> None:
    world.materialize("lead_fields")
    world.emulator.fill(700)
    world.emulator.add_activities(VISIT, range(1, 651), world.clock.now() - 60)
    found = look_up(world)
    assert (found["leads_read"], found["api_calls"]) == (650, 3)


def test_a_lead_that_marketo_does_not_have_is_remembered_and_not_asked_for_each_time(world: ExtractWorld) -> None:
    world.materialize("lead_fields")
    happened(world, 1, 9_999)
    found = look_up(world)
    assert (found["leads_read"], found["leads_missing"]) == (1, 1)
    assert known(world)[9_999] == (True, {"email": None, "company": None})
    assert look_up(world)["api_calls"] == 0
    (row,) = world.rows("select * from activities_with_leads")
    assert (row["lead_id"], row["lead_email"]) == (1, known(world)[1][1]["email"])


def test_a_field_that_marketo_does_not_have_is_named_and_the_others_are_read(world: ExtractWorld) -> None:
    world.configure(("[email, Company Name]", "[email, Nonsense, 'company  NAME']"))
    world.materialize("lead_fields")
    happened(world, 1)
    found = look_up(world)
    assert (found["fields"], found["unknown_fields"]) == (["email", "company"], ["Nonsense"])
    assert known(world)[1][1].keys() == {"email", "company"}
    assert [name for name in world.rows("select * from activities_with_leads")[0] if name.startswith("lead_")] == [
        "lead_id",
        "lead_email",
        "lead_company",
    ]


def test_the_id_alone_may_be_asked_for(world: ExtractWorld) -> None:
    world.configure(("[email, Company Name]", "[id]"))
    happened(world, 1)
    assert look_up(world)["leads_read"] == 1
    assert len(world.rows("select * from activities_with_leads")) == 1


def test_over_quota_what_was_read_is_kept_and_the_next_run_asks_for_the_rest(world: ExtractWorld) -> None:
    world.materialize("lead_fields")
    world.emulator.fill(700)
    world.emulator.add_activities(VISIT, range(1, 651), world.clock.now() - 60)
    assert world.load(DAY).success
    world.misbehave(Fault(LEADS, "error", code="607", every=3))
    result = world.load(DAY, key="activity_leads")
    told = world.failure(result)
    assert "607" in told
    assert "Resumes at 2026-03-03T06:00:00+00:00" in told
    assert world.materialized("activity_leads") == set()
    run = world.instance.get_run_by_id(result.run_id)
    assert run is not None
    assert (run.tags[STOPPED_TAG], run.tags[DAYS_LEFT_TAG]) == ("marketo/activity_leads", f"{DAY}...{DAY}")
    kept = len(known(world))
    assert kept in {350, 600}, "two calls of three were answered"
    world.misbehave()
    world.go_to("2026-03-03T06:00:01")
    found = next(iter(world.metadata(world.load(DAY, key="activity_leads")).values()))
    assert (found["leads_read"], found["api_calls"]) == (650 - kept, 2), "signing in and one call"
    assert len(known(world)) == 650
