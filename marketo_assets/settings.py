"""The environment and marketo.yaml, validated once and frozen. The only place that reads environment variables.

Secrets are not held here: they stay `EnvVar` in resources.py, so that nothing can print them.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args
from urllib.parse import urlsplit

from marketo_assets.config import MarketoConfig, load_config
from marketo_assets.config_types import ConfigError

Environment = Literal["local", "staging", "prod"]

_REQUIRED = (
    "MARKETO_BASE_URL",
    "MARKETO_CLIENT_ID",
    "MARKETO_CLIENT_SECRET",
    "SNOWFLAKE_ACCOUNT",
    "SNOWFLAKE_USER",
    "SNOWFLAKE_DATABASE",
    "PUMP_BUCKET",
)


@dataclass(frozen=True)
class SnowflakeSettings:
    """Where the warehouse is. `host`, `port` and `protocol` are set for the local stand-in only."""

    account: str
    user: str
    database: str
    schema: str
    auth: Literal["password", "private_key_path"]
    role: str | None = None
    warehouse: str | None = None
    host: str | None = None
    port: int | None = None
    protocol: str | None = None


@dataclass(frozen=True)
class Settings:
    """Everything the code location is built from, except the secrets themselves."""

    environment: Environment
    config: MarketoConfig
    marketo_base_url: str
    snowflake: SnowflakeSettings
    bucket: str
    prefix: str
    api_state: Path
    """Folder that every process of this machine shares to keep within Marketo's limits."""
    export_poll_seconds: float
    """Seconds between two looks at an export job."""

    @property
    def is_local(self) -> bool:
        """Whether schedules and sensors are on from the start."""
        return self.environment == "local"

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> "Settings":
        """Read the variables of docs/configuration.md. Raises ConfigError that names all that is wrong at once."""
        env = os.environ if env is None else env
        environment = env.get("MARKETO_ASSETS_ENV", "local")
        problems = []
        if environment not in get_args(Environment):
            known = ", ".join(get_args(Environment))
            problems.append(f"MARKETO_ASSETS_ENV is {environment!r}; expected one of {known}")
        port = env.get("SNOWFLAKE_PORT") or "0"
        if not port.isdecimal():
            problems.append(f"SNOWFLAKE_PORT is {port!r}; expected a number")
        poll_seconds = env.get("MARKETO_EXPORT_POLL_SECONDS") or "60"
        if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", poll_seconds):
            problems.append(f"MARKETO_EXPORT_POLL_SECONDS is {poll_seconds!r}; expected a number of seconds")
        missing = [name for name in _REQUIRED if not env.get(name)]
        if not env.get("SNOWFLAKE_PASSWORD") and not env.get("SNOWFLAKE_PRIVATE_KEY_PATH"):
            missing.append("SNOWFLAKE_PASSWORD or SNOWFLAKE_PRIVATE_KEY_PATH")
        if missing:
            problems.append(
                f"not set: {', '.join(missing)}. For a trial without any account run"
                " `marketo-assets sandbox --env-file sandbox.env` and then `set -a; . ./sandbox.env`",
            )
        if problems:
            raise ConfigError(problems)
        base_url = env["MARKETO_BASE_URL"].rstrip("/")
        return cls(
            environment=cast("Environment", environment),
            config=load_config(_config_path(env)),
            marketo_base_url=base_url,
            snowflake=_snowflake(env),
            bucket=env["PUMP_BUCKET"],
            prefix=env.get("PUMP_PREFIX", "").strip("/"),
            api_state=_api_state(env, base_url),
            export_poll_seconds=float(poll_seconds),
        )


def _config_path(env: Mapping[str, str]) -> Path:
    """The file named, or marketo.yaml beside workspace.yaml: the working folder, else the project's own folder."""
    if named := env.get("MARKETO_ASSETS_CONFIG"):
        return Path(named)
    here = Path.cwd() / "marketo.yaml"
    return here if here.exists() else Path(__file__).parent.parent / "marketo.yaml"


def _api_state(env: Mapping[str, str], base_url: str) -> Path:
    home = Path(env["DAGSTER_HOME"]) if env.get("DAGSTER_HOME") else Path.home() / ".marketo_assets"
    return home / "marketo_api" / urlsplit(base_url).netloc.replace(":", "_")


def _snowflake(env: Mapping[str, str]) -> SnowflakeSettings:
    port = env.get("SNOWFLAKE_PORT") or None
    return SnowflakeSettings(
        account=env["SNOWFLAKE_ACCOUNT"],
        user=env["SNOWFLAKE_USER"],
        database=env["SNOWFLAKE_DATABASE"],
        schema=env.get("SNOWFLAKE_SCHEMA") or "MARKETO",
        auth="password" if env.get("SNOWFLAKE_PASSWORD") else "private_key_path",
        role=env.get("SNOWFLAKE_ROLE") or None,
        warehouse=env.get("SNOWFLAKE_WAREHOUSE") or None,
        host=env.get("SNOWFLAKE_HOST") or None,
        port=int(port) if port else None,
        protocol=env.get("SNOWFLAKE_PROTOCOL") or None,
    )
