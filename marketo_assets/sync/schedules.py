"""What runs the sync by itself: one job, all parts in their order, never two at once."""

from collections.abc import Sequence

import dagster as dg

from marketo_assets.config_sync import SyncConfig
from marketo_assets.extract.schedules import UNFINISHED, cron_line
from marketo_assets.resume import RESUME_AFTER_TAG, resume_after
from marketo_assets.sync.parts import JOB
from marketo_assets.sync.write_back import is_beside


def sync_assets(config: SyncConfig) -> Sequence[dg.AssetKey]:
    """What the job materializes, in the order in which it does."""
    keys: list[dg.AssetKey] = []
    if config.leads:
        keys += [dg.AssetKey(["marketo", "lead_changes"]), dg.AssetKey(["marketo", "leads"])]
    keys += [dg.AssetKey(["companies", name]) for name, each in config.companies.items() if each.enabled]
    if config.leads:
        beside = ["from_marketo"] if is_beside(config.leads) else []
        keys += [dg.AssetKey([config.leads.pump, name]) for name in (*beside, "changes", "drop")]
    objects = (name for name, each in config.custom_objects.items() if each.enabled)
    return [*keys, *(dg.AssetKey(["custom_objects", name]) for name in objects)]


def build_sync_job(config: SyncConfig, *, is_on: bool) -> dg.Definitions:
    """The whole sync as one job, and its schedule."""
    job = dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.assets(*sync_assets(config)),
        description="Warehouse and Marketo brought into step: changes of leads, companies, contacts, custom objects.",
    )

    @dg.schedule(
        name="database_sync_schedule",
        job=job,
        cron_schedule=cron_line(config.polling_interval),
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING if is_on else dg.DefaultScheduleStatus.STOPPED,
        description="Left out while one runs, and while no calls are left.",
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        running = context.instance.get_runs(dg.RunsFilter(job_name=JOB, statuses=UNFINISHED), limit=1)
        if running:
            return dg.SkipReason(f"run {running[0].run_id} is still at it")
        last = context.instance.get_runs(dg.RunsFilter(job_name=JOB), limit=1)
        if last and RESUME_AFTER_TAG in last[0].tags and resume_after(last[0]) > context.scheduled_execution_time:
            return dg.SkipReason(f"the day's quota of calls is used up; the sync goes on after {resume_after(last[0])}")
        return dg.RunRequest()

    return dg.Definitions(jobs=[job], schedules=[schedule])
