"""What starts the extract by itself: polls of the open day, second looks at closed ones, the model."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from marketo_assets.config import ActivitiesConfig
from marketo_assets.extract.assets import (
    ACTIVITIES,
    ACTIVITY_LEADS,
    ACTIVITY_TYPES,
    DAYS_LEFT_TAG,
    DELETED_LEADS,
    LEAD_FIELDS,
)
from marketo_assets.resume import STOPPED_TAG, resume_after

POLL_TAG: Final = "marketo_assets/poll"
RANGE_START_TAG: Final = "dagster/asset_partition_range_start"
RANGE_END_TAG: Final = "dagster/asset_partition_range_end"
_REMEMBERED: Final = timedelta(days=31)
"""How long a stopped run is gone on with: a sensor that was off does not begin with what nobody waits for."""
_STOPPED: Final = [ACTIVITIES.to_user_string(), ACTIVITY_LEADS.to_user_string()]
UNFINISHED: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def build_schedules(config: ActivitiesConfig, *, is_on: bool) -> Sequence[dg.ScheduleDefinition]:
    """The poll, the look back and the model."""
    status = dg.DefaultScheduleStatus.RUNNING if is_on else dg.DefaultScheduleStatus.STOPPED
    model = dg.ScheduleDefinition(
        name="marketo_model",
        target=dg.AssetSelection.assets(ACTIVITY_TYPES, LEAD_FIELDS, DELETED_LEADS),
        cron_schedule="5 0 * * *",
        execution_timezone="UTC",
        default_status=status,
    )
    schedules = [_lookback(config, status), model]
    # At one look a day the look back is the poll: closed days by bulk extract, at a fraction of the calls.
    return schedules if config.polling_interval >= timedelta(days=1) else [_poll(config, status), *schedules]


def _poll(config: ActivitiesConfig, status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
    @dg.schedule(
        name="marketo_activities_poll",
        target=_days_assets(config),
        cron_schedule=cron_line(config.polling_interval),
        execution_timezone="UTC",
        default_status=status,
        description="Today's activities since the last poll. Left out while one runs and while no calls are left.",
    )
    def poll(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        today = context.scheduled_execution_time.astimezone(UTC).date()
        if today < config.start:
            return dg.SkipReason(f"nothing is read before {config.start}")
        running = context.instance.get_runs(dg.RunsFilter(tags={POLL_TAG: "yes"}, statuses=UNFINISHED), limit=1)
        if running:
            return dg.SkipReason(f"run {running[0].run_id} is still reading")
        stopped = context.instance.get_runs(dg.RunsFilter(tags={POLL_TAG: "yes", STOPPED_TAG: _STOPPED}), limit=1)
        if stopped and (resumes_at := resume_after(stopped[0])) > context.scheduled_execution_time:
            return dg.SkipReason(f"the day's quota of calls is used up; polls go on after {resumes_at}")
        return dg.RunRequest(partition_key=today.isoformat(), tags={POLL_TAG: "yes"})

    return poll


def _lookback(config: ActivitiesConfig, status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
    @dg.schedule(
        name="marketo_activities_lookback",
        target=_days_assets(config),
        cron_schedule="30 0 * * *",
        execution_timezone="UTC",
        default_status=status,
        description="The last closed days once more: Marketo commits some activities late.",
    )
    def lookback(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        today = context.scheduled_execution_time.astimezone(UTC).date()
        if today <= config.start:
            return dg.SkipReason(f"no day since {config.start} is over")
        first, last = max(config.start, today - config.lookback), today - timedelta(days=1)
        return range_request(f"{first}...{last}")

    return lookback


def _days_assets(config: ActivitiesConfig) -> dg.AssetSelection:
    return dg.AssetSelection.assets(ACTIVITIES, *([ACTIVITY_LEADS] if config.lead_fields else []))


def build_resume_sensor(config: ActivitiesConfig, *, is_on: bool) -> dg.SensorDefinition:
    """Days that a day's quota did not reach for, once there is a new one."""

    @dg.sensor(
        name="marketo_activities_resume",
        target=_days_assets(config),
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING if is_on else dg.DefaultSensorStatus.STOPPED,
        description="Goes on with the days of runs that stopped because a daily quota was used up.",
    )
    def resume(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        now = datetime.now(UTC)
        stopped = context.instance.get_runs(
            dg.RunsFilter(
                tags={STOPPED_TAG: _STOPPED},
                statuses=[dg.DagsterRunStatus.FAILURE],
                created_after=now - _REMEMBERED,
            )
        )
        # A poll needs no help: the next one goes on from the watermark.
        due = [run for run in stopped if resume_after(run) <= now and POLL_TAG not in run.tags]
        # The run's id is the key: each stop is gone on with once, and a stop of that run is a new one.
        requests = [
            range_request(
                run.tags[DAYS_LEFT_TAG],
                run.run_id,
                [ACTIVITY_LEADS] if run.tags[STOPPED_TAG] == ACTIVITY_LEADS.to_user_string() else None,
            )
            for run in due
        ]
        return dg.SensorResult(requests) if requests else dg.SkipReason("no quota stopped anything")

    return resume


def range_request(days: str, run_key: str | None = None, assets: Sequence[dg.AssetKey] | None = None) -> dg.RunRequest:
    """One run over days, given as `first...last`, as a single-run backfill makes it; `assets` if not all."""
    first, last = days.split("...")
    return dg.RunRequest(run_key=run_key, asset_selection=assets, tags={RANGE_START_TAG: first, RANGE_END_TAG: last})


def cron_line(interval: timedelta) -> str:
    """An interval of marketo.yaml as a cron line (UTC)."""
    if interval < timedelta(hours=1):
        return f"*/{interval // timedelta(minutes=1)} * * * *"
    return f"0 */{interval // timedelta(hours=1)} * * *" if interval < timedelta(days=1) else "0 0 * * *"
