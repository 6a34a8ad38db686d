"""What starts the pump by itself: the schedule of the drop, and the sensor that finds new files on S3."""

from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster_aws.s3 import S3Resource

from marketo_assets.config import PumpConfig
from marketo_assets.pump.assets import RESUME_AFTER_TAG, STOPPED_TAG, files_partitions, pump_bucket
from marketo_assets.pump.files import new_files
from marketo_assets.settings import Settings

MAX_RUNS_PER_TICK = 50
"""Each request costs Dagster a look-up; more files wait for the next tick, oldest first."""

TICK_SECONDS = 10
_RESUME_WITHIN = timedelta(days=3)
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
    def files_sensor(context: dg.SensorEvaluationContext, s3: S3Resource) -> dg.SensorResult:
        known = context.instance.get_dynamic_partitions(str(partitions.name))
        found = new_files(
            pump_bucket(settings, name, s3).list_files(),
            known=known,
            started=_started(context.instance, leads),
            at_most=MAX_RUNS_PER_TICK,
        )
        if found.waiting:
            context.log.info("%d more files wait for the next tick", found.waiting)
        requests = [dg.RunRequest(run_key=key, partition_key=key) for key in found.runs]
        requests += _resumptions(context.instance, name, datetime.now(UTC))
        added = sorted(set(found.runs) - set(known))
        return dg.SensorResult(
            run_requests=requests,
            dynamic_partitions_requests=[partitions.build_add_request(added)] if added else [],
            skip_reason=None if requests else dg.SkipReason("no new file"),
        )

    return files_sensor


def _started(instance: dg.DagsterInstance, leads: dg.AssetKey) -> set[str]:
    """Partitions of which a run was begun, whatever became of it: a failed file waits for a person."""
    attempted = instance.event_log_storage.get_latest_asset_partition_materialization_attempts_without_materializations
    return set(attempted(leads)) | instance.get_materialized_partitions(leads)


def _resumptions(instance: dg.DagsterInstance, name: str, now: datetime) -> list[dg.RunRequest]:
    """Files whose run stopped because the day's quota was used up, once there is a new one. Each is asked for once."""
    stopped = instance.get_run_records(
        dg.RunsFilter(
            tags={STOPPED_TAG: name},
            statuses=[dg.DagsterRunStatus.FAILURE],
            updated_after=now - _RESUME_WITHIN,
        ),
    )
    return [
        dg.RunRequest(
            run_key=f"resume {record.dagster_run.run_id}",
            partition_key=record.dagster_run.tags[_PARTITION_TAG],
        )
        for record in stopped
        if datetime.fromisoformat(record.dagster_run.tags[RESUME_AFTER_TAG]) <= now
    ]
