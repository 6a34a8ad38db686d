"""Companies and custom objects as Dagster shows them.

Guards against: a child sent before its parent or a company after the records that belong to it, a disabled sync that
runs, a broken definition that stops the others, a run that is green although a row is unaccounted for, values where
people look, a quota that nobody resumes after, and two runs of one sync at once.
"""

from typing import Any

import dagster as dg
import pytest

from marketo_assets.resources import build_resources
from marketo_assets.resume import RESUME_AFTER_TAG, STOPPED_TAG
from marketo_assets.sandbox.marketo import Fault
from marketo_assets.sync.object_assets import build_object_assets
from marketo_assets.sync.objects_ledger import ObjectLedger
from marketo_assets_tests.sync.objects_world import (
    ACCOUNTS,
    ADA,
    COURSES,
    ENROLLMENTS,
    ORDERS,
    ObjectsWorld,
    objects_world,  # noqa: F401 - a fixture
)

NAMES = (ACCOUNTS, ORDERS, COURSES, ENROLLMENTS)


def key(name: str) -> dg.AssetKey:
    return dg.AssetKey(name.split("/"))


def materialize(
    world: ObjectsWorld, instance: dg.DagsterInstance, *names: str, **config: bool
) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        build_object_assets(world.config),
        selection=dg.AssetSelection.assets(*map(key, names)),
        resources={**build_resources(world.settings), "marketo": world.marketo},
        instance=instance,
        run_config={"ops": {name.replace("/", "__"): {"config": config} for name in names}},
        raise_on_error=False,
    )


def told(result: dg.ExecuteInProcessResult, name: str) -> dict[str, Any]:
    (event,) = (each for each in result.get_asset_materialization_events() if each.asset_key == key(name))
    return {
        name: [record.data for record in value.records] if isinstance(value, dg.TableMetadataValue) else value.value
        for name, value in event.materialization.metadata.items()
    }


def failed_checks(result: dg.ExecuteInProcessResult) -> list[tuple[str, str]]:
    evaluations = result.get_asset_check_evaluations()
    return [(each.asset_key.to_user_string(), each.check_name) for each in evaluations if not each.passed]


def test_what_is_enabled_is_an_asset_after_its_table_its_parents_and_all_companies(world: ObjectsWorld) -> None:
    assets = {each.key: each for each in build_object_assets(world.config)}
    assert [*assets] == list(map(key, NAMES))
    schema = world.schema.rsplit(".", 1)[1].lower()
    tables = ("accounts", "orders", "courses", "enrollments")
    sources = {key(name): dg.AssetKey([schema, table]) for name, table in zip(NAMES, tables, strict=True)}
    parents = {key(ENROLLMENTS): {key(COURSES)}}
    for each, asset in assets.items():
        before = {key(ACCOUNTS)} - {each} | parents.get(each, set())
        assert asset.asset_deps[each] == {sources[each], *before}
        assert asset.get_asset_spec(each).group_name == "sync"
    assert list(assets[key(ACCOUNTS)].get_asset_spec(key(ACCOUNTS)).owners) == ["team:sales"]
    assert len({asset.op.pool for asset in assets.values()} - {None}) == len(NAMES)


def test_companies_come_after_the_mirror_of_leads_where_there_is_one(world: ObjectsWorld) -> None:
    leads = "sync:\n  leads: {start: 2026-01-01, pump: contacts}\n"
    pump = "pumps:\n  contacts:\n    source: {table: C, key: mail, updated_at: at}\n    mapping: {mail: email}\n"
    world.configure(("sync:\n", pump + leads))
    assets = {each.key: each for each in build_object_assets(world.config)}
    assert dg.AssetKey(["marketo", "leads"]) in assets[key(ACCOUNTS)].asset_deps[key(ACCOUNTS)]


def test_one_run_brings_all_in_order_tells_counts_and_no_values_and_a_broken_one_stops_no_other(
    world: ObjectsWorld, instance: dg.DagsterInstance
) -> None:
    world.put("ACCOUNTS", ("C1", "Acme", "many", None), ("C2", "Bolt", None, None))
    world.put("COURSES", ("X", "Latin"))
    world.put("ENROLLMENTS", (ADA, "X", "1"), ("eve@example.com", "X", "2"))
    world.put("ORDERS", (1, ADA, None, None, None, None))
    world.emulator.remove_custom_object("order_c")
    result = materialize(world, instance, *NAMES)
    assert result.success
    assert failed_checks(result) == [(ORDERS, "definition_fits")]
    accounts, enrollments = told(result, ACCOUNTS), told(result, ENROLLMENTS)
    assert {name: accounts[name] for name in ("dagster/row_count", "created", "rejected", "unchanged", "deleted")} == {
        "dagster/row_count": 2,
        "created": 1,
        "rejected": 1,
        "unchanged": 0,
        "deleted": 0,
    }
    assert accounts["codes"] == [{"outcome": "rejected", "code": "invalid_integer", "rows": 1}]
    (sample,) = accounts["refused_rows_sample"]
    found = world.warehouse.rows(
        "select key from SYNC_OBJECTS where tried_fingerprint = %(it)s", it=sample["tried_fingerprint"]
    )
    assert [row["key"] for row in found] == ['["c1"]'], "the sample leads to the record, in the warehouse alone"
    assert enrollments["codes"] == [{"outcome": "waiting", "code": "1004", "rows": 1}]
    assert enrollments["links"] == ["email -> Lead.email", "courseId -> course_c.courseId"]
    assert "custom_objects/order_c" not in str(accounts)
    assert "Marketo has no custom object 'order_c'" in told(result, ORDERS)["problems"][0]
    shown = str([event.event_specific_data for event in result.all_events])
    assert "eve@example.com" not in shown
    assert "Acme" not in shown


def test_a_run_config_sends_again_what_was_refused(world: ObjectsWorld, instance: dg.DagsterInstance) -> None:
    world.put("ORDERS", (1, "no address", None, None, None, None))
    assert materialize(world, instance, ORDERS).success
    assert told(materialize(world, instance, ORDERS, try_again=True), ORDERS)["api_calls"] == 2


def test_a_row_that_is_not_accounted_for_is_a_red_run_and_stops_what_comes_after(
    world: ObjectsWorld, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put("COURSES", ("X", "Latin"))
    monkeypatch.setattr(ObjectLedger, "pages", lambda *_: iter(()))
    result = materialize(world, instance, COURSES, ENROLLMENTS)
    assert (COURSES, "every_row_accounted_for") in failed_checks(result)
    assert not result.success
    assert not [each for each in result.get_asset_materialization_events() if each.asset_key == key(ENROLLMENTS)]


def test_a_quota_that_is_used_up_stops_the_run_and_says_when_to_go_on(
    world: ObjectsWorld, instance: dg.DagsterInstance
) -> None:
    world.put("COURSES", ("X", "Latin"))
    world.misbehave(Fault("POST /rest/v1/customobjects/*", "error", code="607", every=1))
    result = materialize(world, instance, COURSES)
    assert not result.success
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags[STOPPED_TAG] == COURSES
    assert run.tags[RESUME_AFTER_TAG] == "2026-03-03T06:00:00+00:00", "midnight in US Central"
