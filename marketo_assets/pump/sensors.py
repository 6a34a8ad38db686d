"""What starts the pump by itself: the schedule of the drop, and the sensor that finds new files on S3."""

from collections.abc import Mapping
from datetime import UTC, datetime

import dagster as dg
from dagster_aws.s3 import S3Resource

from marketo_assets.config import PumpConfig
from marketo_assets.pump.assets import files_partitions, pump_bucket
from marketo_assets.pump.files import new_files
from marketo_assets.resume import STOPPED_TAG, resume_after
from marketo_assets.settings import Settings

MAX_RUNS_PER_TICK = 50
"""Each request costs Dagster a look-up; more files wait for the next tick, oldest first."""

TICK_SECONDS = 10
_PARTITION_TAG = "dagster/partition"


def build_schedule(settings: Settings, name: str, pump: PumpConfig) -> dg.ScheduleDefinition | None:
    """The drop by the clock, as marketo.yaml says; on from the start in local only."""
    if pump.schedule is None:
        return None
    return dg.ScheduleDefinition(
        name=f"{name}_drop_schedule",
        target=dg.AssetSelection.assets(dg.AssetKey([name, "drop"])),
        cron_schedule=pump.schedule,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING if settings.is_local else dg.DefaultScheduleStatus.STOPPED,
    )


def build_sensor(settings: Settings, name: str) -> dg.SensorDefinition:
    """Every new CSV file below the pump's prefix becomes one partition and one run of the leads asset."""
    leads = dg.AssetKey([name, "leads"])
    partitions = files_partitions(name)

    @dg.sensor(
        name=f"{name}_files_sensor",
        target=dg.AssetSelection.assets(leads),
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if settings.is_local else dg.DefaultSensorStatus.STOPPED,
        description="New .csv and .csv.gz files below the pump's prefix, from whatever producer, start a run each.",
    )
    def files_sensor(context: dg.SensorEvaluationContext, s3: S3Resource) -> dg.SensorResult | dg.SkipReason:
        instance, now = context.instance, datetime.now(UTC)
        known = instance.get_dynamic_partitions(str(partitions.name))
        attempts = _attempts(instance, leads)
        stopped = _stopped_by_quota(instance, name, attempts)
        if stopped and (resumes_at := max(stopped.values())) > now:
            return dg.SkipReason(f"the day's quota of calls is used up; files are taken again after {resumes_at}")
        found = new_files(
            pump_bucket(settings, name, s3).list_files(),
            known=known,
            started=attempts.keys() | instance.get_materialized_partitions(leads),
            has_failed=lambda partition: _has_failed(instance, attempts.get(partition)),
            at_most=max(0, MAX_RUNS_PER_TICK - len(stopped)),
        )
        if found.waiting:
            context.log.info("%d more files wait for the next tick", found.waiting)
        requests = [
            dg.RunRequest(run_key=f"resume {attempts[partition]}", partition_key=partition)
            for partition in sorted(stopped)[:MAX_RUNS_PER_TICK]
        ]
        requests += [dg.RunRequest(run_key=key, partition_key=key) for key in found.runs]
        added = sorted(set(found.runs) - set(known))
        return dg.SensorResult(
            run_requests=requests,
            dynamic_partitions_requests=[partitions.build_add_request(added)] if added else [],
            skip_reason=None if requests else dg.SkipReason("no new file"),
        )

    return files_sensor


def _attempts(instance: dg.DagsterInstance, leads: dg.AssetKey) -> dict[str, str]:
    """The last run of each partition that was begun and is not materialized since: a failed file waits for a person."""
    storage = instance.event_log_storage
    attempts = storage.get_latest_asset_partition_materialization_attempts_without_materializations(leads)
    return {partition: run_id for partition, (run_id, _) in attempts.items()}


def _has_failed(instance: dg.DagsterInstance, run_id: str | None) -> bool:
    run = instance.get_run_by_id(run_id) if run_id else None
    return run is not None and run.is_failure_or_canceled


def _stopped_by_quota(
    instance: dg.DagsterInstance,
    name: str,
    attempts: Mapping[str, str],
) -> dict[str, datetime]:
    """Partitions whose last run stopped because the day's quota was used up, and from when there is a new one."""
    if not attempts:
        return {}
    runs = instance.get_runs(
        dg.RunsFilter(tags={STOPPED_TAG: name}, statuses=[dg.DagsterRunStatus.FAILURE]),
    )
    return {
        run.tags[_PARTITION_TAG]: resume_after(run)
        for run in runs
        if attempts.get(run.tags[_PARTITION_TAG]) == run.run_id
    }
