"""What starts the extract by itself.

Guards against: a day that no schedule ever loads, a poll of yesterday because of a time zone, polls that pile up behind
a slow one or fail all day, days left over by a quota that nobody goes on with, and anything that starts by itself in
production before somebody has said so.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test
from dagster._utils.schedules import cron_string_iterator

from marketo_assets.build import build_defs
from marketo_assets.extract.assets import DAYS_LEFT_TAG
from marketo_assets.extract.schedules import POLL_TAG, RANGE_END_TAG, RANGE_START_TAG, cron_line
from marketo_assets.resume import RESUME_AFTER_TAG, STOPPED_TAG
from marketo_assets.settings import Settings

ENV = {
    "MARKETO_BASE_URL": "https://123-abc-456.mktorest.com/",
    "MARKETO_CLIENT_ID": "id",
    "MARKETO_CLIENT_SECRET": "secret",
    "SNOWFLAKE_ACCOUNT": "account",
    "SNOWFLAKE_USER": "user",
    "SNOWFLAKE_PASSWORD": "password",
    "SNOWFLAKE_DATABASE": "DB",
    "PUMP_BUCKET": "bucket",
}
CONFIG = "extract: {activities: {start: 2026-01-10, polling_interval: 5m, lookback: 3d, lead_fields: [email]}}\n"
POLL, LOOKBACK, MODEL = "marketo_activities_poll", "marketo_activities_lookback", "marketo_model"
RESUME = "marketo_activities_resume"
WITH_LEADS = {dg.AssetKey(["marketo", "activities"]), dg.AssetKey(["marketo", "activity_leads"])}


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "marketo.yaml").write_text(CONFIG)
    return ENV | {"MARKETO_ASSETS_CONFIG": str(tmp_path / "marketo.yaml"), "DAGSTER_HOME": str(tmp_path)}


@pytest.fixture
def definitions(env: dict[str, str]) -> dg.Definitions:
    return build_defs(Settings.from_env(env))


@pytest.fixture(scope="module")
def kept_instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """One for all tests: schedules ask for an instance with a database, which takes a second to make."""
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as instance:
        yield instance


@pytest.fixture
def instance(kept_instance: dg.DagsterInstance) -> dg.DagsterInstance:
    """Without any run."""
    kept_instance.run_storage.wipe()
    return kept_instance


def tick(definitions: dg.Definitions, instance: dg.DagsterInstance, name: str, at: datetime) -> list[dg.RunRequest]:
    with dg.build_schedule_context(instance, scheduled_execution_time=at) as context:
        answer: Any = definitions.resolve_schedule_def(name)(context)
    return [] if isinstance(answer, dg.SkipReason) else [answer]


def sensor_tick(definitions: dg.Definitions, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    with dg.build_sensor_context(instance) as context:
        answer: Any = definitions.resolve_sensor_def(RESUME)(context)
    return [] if isinstance(answer, dg.SkipReason) else list(answer.run_requests)


def targets(definitions: dg.Definitions, name: str) -> set[dg.AssetKey]:
    starter = definitions.resolve_sensor_def(name) if name == RESUME else definitions.resolve_schedule_def(name)
    return set(definitions.resolve_job_def(str(starter.job_name)).asset_layer.selected_asset_keys)


def stopped_run(
    instance: dg.DagsterInstance, days: str, resume_after: datetime, tags: Mapping[str, str] | None = None
) -> str:
    """A run that a quota stopped, as the asset leaves it behind."""
    run = create_run_for_test(
        instance,
        status=dg.DagsterRunStatus.FAILURE,
        tags={
            STOPPED_TAG: "marketo/activities",
            RESUME_AFTER_TAG: resume_after.isoformat(),
            DAYS_LEFT_TAG: days,
            **(tags or {}),
        },
    )
    return str(run.run_id)


def range_of(request: dg.RunRequest) -> tuple[str, str]:
    return request.tags[RANGE_START_TAG], request.tags[RANGE_END_TAG]


def test_a_poll_asks_for_todays_partition_in_utc(definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
    late_in_chicago = datetime(2026, 2, 28, 18, 5, tzinfo=ZoneInfo("America/Chicago"))
    (request,) = tick(definitions, instance, POLL, late_in_chicago)
    assert request.partition_key == "2026-03-01"
    assert targets(definitions, POLL) == WITH_LEADS
    (request,) = tick(definitions, instance, POLL, datetime(2026, 2, 28, 23, 55, tzinfo=UTC))
    assert request.partition_key == "2026-02-28"


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED])
def test_a_poll_is_left_out_while_another_is_under_way(
    definitions: dg.Definitions, instance: dg.DagsterInstance, status: dg.DagsterRunStatus
) -> None:
    at = datetime(2026, 2, 28, 12, tzinfo=UTC)
    create_run_for_test(instance, status=status)
    create_run_for_test(instance, status=dg.DagsterRunStatus.SUCCESS, tags={POLL_TAG: "yes"})
    create_run_for_test(instance, status=dg.DagsterRunStatus.FAILURE, tags={POLL_TAG: "yes"})
    assert len(tick(definitions, instance, POLL, at)) == 1, "neither another run nor an ended one holds it up"
    create_run_for_test(instance, status=status, tags=tick(definitions, instance, POLL, at)[0].tags)
    assert tick(definitions, instance, POLL, at) == []


def test_polls_rest_until_there_are_calls_again(definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
    again = datetime(2026, 3, 1, 6, tzinfo=UTC)
    stopped_run(instance, "2026-02-28...2026-02-28", again, {POLL_TAG: "yes"})
    assert tick(definitions, instance, POLL, again - timedelta(minutes=5)) == []
    (request,) = tick(definitions, instance, POLL, again)
    assert request.partition_key == "2026-03-01"


def test_a_stopped_backfill_does_not_hold_up_polls(definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
    again = datetime(2026, 3, 1, 6, tzinfo=UTC)
    stopped_run(instance, "2026-01-10...2026-02-20", again)
    assert len(tick(definitions, instance, POLL, again - timedelta(hours=1))) == 1


def test_the_lookback_is_the_last_closed_days(definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
    (request,) = tick(definitions, instance, LOOKBACK, datetime(2026, 3, 2, 0, 30, tzinfo=UTC))
    assert range_of(request) == ("2026-02-27", "2026-03-01")
    assert targets(definitions, LOOKBACK) == WITH_LEADS


@pytest.mark.parametrize(
    ("day", "expected"),
    [(9, None), (10, None), (11, ("10", "10")), (12, ("10", "11")), (13, ("10", "12")), (14, ("11", "13"))],
)
def test_nothing_is_asked_for_before_the_start(
    definitions: dg.Definitions, instance: dg.DagsterInstance, day: int, expected: tuple[str, str] | None
) -> None:
    at = datetime(2026, 1, day, 0, 30, tzinfo=UTC)
    ranges = [range_of(request) for request in tick(definitions, instance, LOOKBACK, at)]
    assert ranges == ([] if expected is None else [(f"2026-01-{expected[0]}", f"2026-01-{expected[1]}")])
    assert bool(tick(definitions, instance, POLL, at)) == (day >= 10)


def test_a_start_that_is_to_come_is_waited_for(env: dict[str, str], instance: dg.DagsterInstance) -> None:
    Path(env["MARKETO_ASSETS_CONFIG"]).write_text("extract: {activities: {start: 2999-01-01, polling_interval: 5m}}\n")
    definitions = build_defs(Settings.from_env(env))
    now = datetime.now(UTC)
    assert tick(definitions, instance, POLL, now) == []
    assert tick(definitions, instance, LOOKBACK, now) == []


@pytest.mark.parametrize("minutes", [1, 2, 5, 15, 30, 60, 120, 180, 240, 360, 480, 720])
def test_every_interval_is_kept_by_its_cron_line(minutes: int) -> None:
    start = datetime(2026, 3, 7, 22, 59, 30, tzinfo=UTC)
    ticks = list(islice(cron_string_iterator(start.timestamp(), cron_line(timedelta(minutes=minutes)), "UTC"), 30))
    apart = {after - before for before, after in pairwise(ticks)}
    assert apart == {timedelta(minutes=minutes)}, "over midnight and over nights when clocks are changed as well"


def test_at_one_look_a_day_the_lookback_is_the_poll(env: dict[str, str]) -> None:
    Path(env["MARKETO_ASSETS_CONFIG"]).write_text(CONFIG.replace("5m", "24h"))
    schedules = build_defs(Settings.from_env(env)).get_repository_def().schedule_defs
    assert {schedule.name for schedule in schedules} == {LOOKBACK, MODEL}


def test_the_model_is_looked_at_before_the_days_of_the_night(definitions: dg.Definitions) -> None:
    names = ("activity_types", "lead_fields", "deleted_leads")
    assert targets(definitions, MODEL) == {dg.AssetKey(["marketo", name]) for name in names}
    start = datetime(2026, 3, 8, tzinfo=UTC).timestamp()
    model, lookback = (
        next(cron_string_iterator(start, str(definitions.resolve_schedule_def(name).cron_schedule), "UTC"))
        for name in (MODEL, LOOKBACK)
    )
    assert model < lookback < model + timedelta(hours=6)


def test_days_left_over_are_gone_on_with_once_there_is_a_new_quota(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    now = datetime.now(UTC)
    assert sensor_tick(definitions, instance) == []
    stopped_run(instance, "2026-02-01...2026-02-05", now + timedelta(hours=1))
    assert sensor_tick(definitions, instance) == [], "not before the quota starts afresh"
    one = stopped_run(instance, "2026-01-10...2026-01-31", now - timedelta(minutes=1))
    other = stopped_run(instance, "2026-02-20...2026-02-20", now - timedelta(hours=9))
    requests = {request.run_key: range_of(request) for request in sensor_tick(definitions, instance)}
    assert requests == {one: ("2026-01-10", "2026-01-31"), other: ("2026-02-20", "2026-02-20")}
    again = {request.run_key for request in sensor_tick(definitions, instance)}
    assert again == requests.keys(), "the same keys: Dagster starts a run once for a key"
    assert targets(definitions, RESUME) == WITH_LEADS


def test_of_leads_left_over_no_activities_are_loaded_again(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    past = datetime.now(UTC) - timedelta(minutes=1)
    stopped_run(instance, "2026-02-01...2026-02-05", past, {STOPPED_TAG: "marketo/activity_leads"})
    (request,) = sensor_tick(definitions, instance)
    assert request.asset_selection == [dg.AssetKey(["marketo", "activity_leads"])]
    assert range_of(request) == ("2026-02-01", "2026-02-05")


def test_stopped_polls_neither_ask_for_anything_nor_hide_a_backfill(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    past = datetime.now(UTC) - timedelta(minutes=1)
    backfill = stopped_run(instance, "2026-01-10...2026-01-31", past)
    for _ in range(30):
        stopped_run(instance, "2026-02-28...2026-02-28", past, {POLL_TAG: "yes"})
    assert [request.run_key for request in sensor_tick(definitions, instance)] == [backfill]


@pytest.mark.parametrize("environment", ["local", "staging", "prod"])
def test_everything_is_off_until_somebody_turns_it_on_but_for_local(env: dict[str, str], environment: str) -> None:
    definitions = build_defs(Settings.from_env(env | {"MARKETO_ASSETS_ENV": environment}))
    schedules = [definitions.resolve_schedule_def(name).default_status for name in (POLL, LOOKBACK, MODEL)]
    sensor = definitions.resolve_sensor_def(RESUME).default_status
    is_on = environment == "local"
    assert {status == dg.DefaultScheduleStatus.RUNNING for status in schedules} == {is_on}
    assert (sensor == dg.DefaultSensorStatus.RUNNING) == is_on


def test_without_an_extract_in_marketo_yaml_there_is_nothing_of_it(env: dict[str, str]) -> None:
    Path(env["MARKETO_ASSETS_CONFIG"]).write_text("pumps: {}\n")
    repository = build_defs(Settings.from_env(env)).get_repository_def()
    assert list(repository.asset_graph.get_all_asset_keys()) == []
    assert (repository.schedule_defs, repository.sensor_defs) == ([], [])


def test_without_lead_fields_no_leads_are_looked_up(env: dict[str, str]) -> None:
    Path(env["MARKETO_ASSETS_CONFIG"]).write_text(CONFIG.replace(", lead_fields: [email]", ""))
    definitions = build_defs(Settings.from_env(env))
    assert dg.AssetKey(["marketo", "activity_leads"]) not in definitions.resolve_asset_graph().get_all_asset_keys()
    for name in (POLL, LOOKBACK, RESUME):
        assert targets(definitions, name) == {dg.AssetKey(["marketo", "activities"])}


def test_partitions_are_the_utc_days_from_the_start_to_today(definitions: dg.Definitions) -> None:
    partitions = definitions.resolve_assets_def(dg.AssetKey(["marketo", "activities"])).partitions_def
    assert partitions is not None
    keys = partitions.get_partition_keys(current_time=datetime(2026, 3, 2, 0, 0, 1, tzinfo=UTC))
    assert (keys[0], keys[-1], len(keys)) == ("2026-01-10", "2026-03-02", 52)
