"""The reconciliation as Dagster shows it.

Guards against drift that nobody is told of, a feed that begins after the files, a lock that stays held, and a quota
that ends a run without saying when to come back.
"""

from typing import Any

import dagster as dg

from marketo_assets.config import PumpConfig
from marketo_assets.config_sync import LeadSyncConfig
from marketo_assets.resources import build_resources
from marketo_assets.resume import RESUME_AFTER_TAG, STOPPED_TAG
from marketo_assets.sandbox.marketo.faults import Fault
from marketo_assets.settings import Settings
from marketo_assets.sync.reconcile_assets import build_reconcile_asset, reconcile_if_needed
from marketo_assets_tests.sync.conftest import SyncWorld


def parts(world: SyncWorld) -> tuple[LeadSyncConfig, PumpConfig, dict[str, Any]]:
    """What marketo.yaml says, and the resources."""
    settings = Settings.from_env(world.env)
    sync = settings.config.sync
    assert sync is not None
    assert sync.leads is not None
    return sync.leads, settings.config.pumps[sync.leads.pump], {**build_resources(settings), **world.resources}


def reconcile(world: SyncWorld) -> dg.ExecuteInProcessResult:
    """Materialize the asset alone."""
    leads, pump, resources = parts(world)
    definitions = dg.Definitions(assets=[build_reconcile_asset(leads, pump)], resources=resources)
    job = definitions.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(instance=world.instance, raise_on_error=False)
    world.runs.append(result)
    return result


def told(world: SyncWorld, result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    found = world.told(result, "marketo", "leads_reconciled")
    return {name: found[name] for name in ("leads_exported", "leads_inserted", "leads_repaired", "drift_by_field")}


def test_a_run_shows_what_it_found_and_warns_of_drift(world: SyncWorld) -> None:
    world.lead("ada@example.com", firstName="Ada")
    world.lead("bob@example.com", firstName="Bob")
    first = reconcile(world)
    assert told(world, first) == {
        "leads_exported": 2,
        "leads_inserted": 2,
        "leads_repaired": 0,
        "drift_by_field": [],
    }
    assert world.checks(first) == {"mirror_agrees": True}
    marks = {row["stream"]: row["read_until"] for row in world.rows("select stream, read_until from SYNC_WATERMARKS")}
    assert marks["continuous"] < marks["mirror"]

    # As if the feed had told of all there was, and of something that was not.
    world.warehouse.execute("update LEAD_CHANGES set applied_at = loaded_at")
    world.warehouse.execute("""update LEADS set fields = parse_json(replace(to_json(fields), 'Bob', 'Rob'))""")
    world.clock.advance(3_600)
    second = reconcile(world)
    assert told(world, second) == {
        "leads_exported": 2,
        "leads_inserted": 0,
        "leads_repaired": 1,
        "drift_by_field": [{"field": "firstName", "leads": 1}],
    }
    (check,) = second.get_asset_check_evaluations()
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.metadata["leads_that_differed"].value == 1
    assert check.metadata["fields_that_differed"].value == "firstName"
    with world.marketo.syncs():
        pass  # nobody holds it any more


def test_it_is_done_once_where_it_is_needed(world: SyncWorld) -> None:
    world.lead("ada@example.com", firstName="Ada")
    leads, pump, resources = parts(world)
    (first, _), (second, stats) = (
        reconcile_if_needed(run, leads, pump, resources["warehouse"], resources["marketo"]) for run in ("one", "two")
    )
    assert first is not None
    assert (first.inserted, second, stats.calls) == (1, None, 0)


def test_a_used_up_quota_says_when_to_come_back(world: SyncWorld) -> None:
    fault = Fault("POST /bulk/*", "error", code="1029", message="Export daily quota exceeded", every=1)
    world.misbehave(fault)
    assert not reconcile(world).success
    assert "Resumes at 2026-03-03T06:00:00+00:00" in world.failure()
    run = world.instance.get_run_by_id(world.runs[-1].run_id)
    assert run is not None
    assert run.tags[STOPPED_TAG] == "marketo/leads_reconciled"
    assert run.tags[RESUME_AFTER_TAG] == "2026-03-03T06:00:00+00:00"
