"""Guards against two syncs at once, a lead that comes before its company, and a sync that never goes on."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from marketo_assets_tests.sync.conftest import SyncWorld

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
OBJECTS = """
  companies:
    accounts: {source: {table: A, key: id}, mapping: {id: externalCompanyId}}
  custom_objects:
    enrollment_c: {source: {table: E, key: [id]}, mapping: {id: id}, parents: [course_c]}
    course_c: {source: {table: C, key: [id]}, mapping: {id: id}}
    off_c: {enabled: false, source: {table: O, key: [id]}, mapping: {id: id}}
sync:"""


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """Schedules ask for one with a database."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as made:
        yield made


def tick(world: SyncWorld) -> dg.RunRequest | dg.SkipReason:
    schedule = world.definitions.resolve_schedule_def("database_sync_schedule")
    with dg.build_schedule_context(instance=world.instance, scheduled_execution_time=NOON) as context:
        result: Any = schedule(context)
    assert isinstance(result, dg.RunRequest | dg.SkipReason)
    return result


def test_never_two_at_once_and_not_before_there_is_a_new_quota(world: SyncWorld) -> None:
    schedule = world.definitions.resolve_schedule_def("database_sync_schedule")
    assert (schedule.cron_schedule, schedule.default_status) == ("*/5 * * * *", dg.DefaultScheduleStatus.RUNNING)
    assert isinstance(tick(world), dg.RunRequest)
    run = world.instance.create_run_for_job(world.job, status=dg.DagsterRunStatus.STARTED)
    assert "still at it" in str(tick(world))
    world.instance.delete_run(run.run_id)
    stopped = world.instance.create_run_for_job(
        world.job,
        status=dg.DagsterRunStatus.FAILURE,
        tags={"marketo_assets/resume_after": "2026-03-02T13:00:00+00:00"},
    )
    assert "quota" in str(tick(world))
    world.instance.delete_run(stopped.run_id)
    assert isinstance(tick(world), dg.RunRequest)


def test_all_parts_in_their_order(make_world: Callable[..., SyncWorld]) -> None:
    world = make_world(("sync:", "sync:" + OBJECTS.removesuffix("sync:")))
    graph = world.definitions.resolve_asset_graph()
    assert {"/".join(key.path) for key in world.job.asset_layer.executable_asset_keys} == {
        "marketo/lead_changes",
        "marketo/leads",
        "companies/accounts",
        "contacts/from_marketo",
        "contacts/changes",
        "contacts/drop",
        "custom_objects/course_c",
        "custom_objects/enrollment_c",
    }
    ancestors = {"/".join(key.path): graph.get_ancestor_asset_keys(key) for key in graph.toposorted_asset_keys}
    for before, after in (
        ("marketo/lead_changes", "marketo/leads"),
        ("marketo/leads", "companies/accounts"),
        ("companies/accounts", "contacts/changes"),
        ("contacts/from_marketo", "contacts/changes"),
        ("contacts/changes", "contacts/drop"),
        ("contacts/changes", "custom_objects/course_c"),
        ("custom_objects/course_c", "custom_objects/enrollment_c"),
    ):
        assert dg.AssetKey(before.split("/")) in ancestors[after], (before, after)
