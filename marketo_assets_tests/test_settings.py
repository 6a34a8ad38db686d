"""The environment, read once.

Guards against: a wrong or missing variable that is found out one at a time or in the middle of a run, a run against the
wrong environment, and secrets that print themselves.
"""

from pathlib import Path

import dagster as dg
import pytest

from marketo_assets.build import build_defs
from marketo_assets.config_types import ConfigError
from marketo_assets.resources import build_resources
from marketo_assets.settings import Settings

SECRETS = {
    "MARKETO_CLIENT_SECRET": "hush-marketo",
    "SNOWFLAKE_PASSWORD": "hush-snowflake",
    "AWS_SECRET_ACCESS_KEY": "hush-s3",
}
ENV = {
    **SECRETS,
    "MARKETO_BASE_URL": "https://123-abc-456.mktorest.com/",
    "MARKETO_CLIENT_ID": "hush-client",
    "SNOWFLAKE_ACCOUNT": "account",
    "SNOWFLAKE_USER": "user",
    "SNOWFLAKE_DATABASE": "DB",
    "PUMP_BUCKET": "bucket",
}


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    config = tmp_path / "marketo.yaml"
    config.write_text(
        "pumps: {contacts: {schedule: '0 * * * *', source: {table: T, key: mail, updated_at: at},"
        " mapping: {mail: email}}}\n",
    )
    env = ENV | {"MARKETO_ASSETS_CONFIG": str(config), "DAGSTER_HOME": str(tmp_path)}
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    return env


def test_the_environment_is_read_with_its_defaults(env: dict[str, str]) -> None:
    settings = Settings.from_env(env)
    assert (settings.environment, settings.is_local, settings.prefix) == ("local", True, "")
    assert settings.marketo_base_url == "https://123-abc-456.mktorest.com"
    assert (settings.snowflake.schema, settings.snowflake.auth, settings.snowflake.port) == (
        "MARKETO",
        "password",
        None,
    )
    assert Settings.from_env(env | {"PUMP_PREFIX": "/a/b/"}).prefix == "a/b"


def test_everything_that_is_missing_or_wrong_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as wrong:
        Settings.from_env({"MARKETO_ASSETS_ENV": "production", "SNOWFLAKE_PORT": "http", "PUMP_BUCKET": ""})
    message = str(wrong.value)
    assert "MARKETO_ASSETS_ENV is 'production'; expected one of local, staging, prod" in message
    assert "SNOWFLAKE_PORT is 'http'; expected a number" in message
    for name in [*ENV.keys() - {"AWS_SECRET_ACCESS_KEY", "SNOWFLAKE_PASSWORD"}]:
        assert name in message
    assert "SNOWFLAKE_PASSWORD or SNOWFLAKE_PRIVATE_KEY_PATH" in message
    assert "marketo-assets sandbox" in message


@pytest.mark.parametrize("text", ["soon", "-1", "1e3", "1m", "nan"])
def test_a_time_between_looks_at_an_export_is_a_number_of_seconds(env: dict[str, str], text: str) -> None:
    assert Settings.from_env(env).export_poll_seconds == 60
    assert Settings.from_env(env | {"MARKETO_EXPORT_POLL_SECONDS": "0.5"}).export_poll_seconds == 0.5
    with pytest.raises(ConfigError, match=f"MARKETO_EXPORT_POLL_SECONDS is '{text}'; expected a number of seconds"):
        Settings.from_env(env | {"MARKETO_EXPORT_POLL_SECONDS": text})


@pytest.mark.parametrize("environment", ["staging", "prod"])
def test_schedules_and_sensors_start_by_themselves_in_local_only(env: dict[str, str], environment: str) -> None:
    def are_running(definitions: dg.Definitions) -> tuple[bool, bool]:
        sensor = definitions.resolve_sensor_def("contacts_files_sensor")
        schedule = definitions.resolve_schedule_def("contacts_drop_schedule")
        return (
            sensor.default_status == dg.DefaultSensorStatus.RUNNING,
            schedule.default_status == dg.DefaultScheduleStatus.RUNNING,
        )

    assert are_running(build_defs(Settings.from_env(env))) == (True, True)
    assert are_running(build_defs(Settings.from_env(env | {"MARKETO_ASSETS_ENV": environment}))) == (False, False)


@pytest.mark.parametrize("with_key", [False, True])
def test_no_secret_is_in_what_can_be_printed(env: dict[str, str], with_key: bool) -> None:
    if with_key:
        env = env | {"SNOWFLAKE_PASSWORD": "", "SNOWFLAKE_PRIVATE_KEY_PATH": "/key"}
    settings = Settings.from_env(env)
    definitions = build_defs(settings)
    resources = build_resources(settings)
    printed = [repr(settings), str(settings), repr(definitions), repr(resources), str(resources)]
    printed += [repr(vars(resource)) for resource in resources.values()]
    printed += [resource.model_dump_json() for resource in resources.values()]
    in_job = definitions.resolve_implicit_global_asset_job_def().resource_defs
    printed += [str(resource.config_schema.as_field().default_value) for resource in in_job.values()]
    told = "\n".join(printed)
    assert "MARKETO_CLIENT_SECRET" in told, "the name of the variable is there, so the text is the right one"
    assert "hush" not in told


def test_each_marketo_instance_keeps_its_own_count_of_calls(env: dict[str, str]) -> None:
    one = Settings.from_env(env).api_state
    other = Settings.from_env(env | {"MARKETO_BASE_URL": "https://999-xyz-999.mktorest.com"}).api_state
    assert one != other
    assert one.parent == other.parent == Path(env["DAGSTER_HOME"]) / "marketo_api"
