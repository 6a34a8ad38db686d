"""Thin Dagster resources: each hands out plain objects that know nothing of Dagster. Secrets are `EnvVar`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_aws.s3 import S3Resource
from dagster_snowflake import SnowflakeResource

from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.clock import Clock, SystemClock
from marketo_assets.marketo.limits import ApiBudget, ApiLimits, lead_write_lock, process_lock
from marketo_assets.settings import Settings, SnowflakeSettings
from marketo_assets.warehouse.session import Warehouse

# A stand-in answers at once or not at all; what it cannot map it answers with HTTP 500, which the connector repeats
# until this time is over.
_LOCAL_NETWORK_TIMEOUT = 30

_TIMESTAMP_FORMATS = ("TIMESTAMP_OUTPUT_FORMAT", "TIMESTAMP_LTZ_OUTPUT_FORMAT", "TIMESTAMP_TZ_OUTPUT_FORMAT")


class WarehouseResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # Dagster's own examples leave it open
    """Sessions of the warehouse."""

    snowflake: dg.ResourceDependency[SnowflakeResource]

    @contextmanager
    def session(self) -> Iterator[Warehouse]:
        """One connection, closed at the end whatever happens (dagster-snowflake leaves it open after an error)."""
        context = self.snowflake.get_connection()
        connection = context.__enter__()
        try:
            yield Warehouse(connection)
        finally:
            connection.close()


class MarketoResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # as above
    """The Marketo instance, and this machine's share of its limits."""

    base_url: str
    client_id: str
    client_secret: str
    calls_per_day: int
    reserve_for_others: float
    calls_per_20s: int
    concurrent_calls: int
    state_dir: str
    export_poll_seconds: float

    @property
    def clock(self) -> Clock:
        """The time of whatever deals with Marketo."""
        return SystemClock()

    @property
    def folder(self) -> Path:
        """For files from Marketo on their way; what lies there outlives a killed run."""
        folder = Path(self.state_dir) / "exports"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def client(self) -> Iterator[MarketoClient]:
        """A client within the instance's limits; closed at the end."""
        limits = ApiLimits(
            calls_per_day=self.calls_per_day,
            reserve_for_others=self.reserve_for_others,
            calls_per_window=self.calls_per_20s,
            concurrent_calls=self.concurrent_calls,
        )
        clock = SystemClock()
        budget = ApiBudget(Path(self.state_dir), limits, clock)
        try:
            with MarketoClient(self.base_url, self.client_id, self.client_secret, budget, clock=clock) as client:
                yield client
        finally:
            budget.close()

    @contextmanager
    def lead_writes(self) -> Iterator[None]:
        """Held while leads are written: two runs at once could put one new e-mail into two calls in flight."""
        with lead_write_lock(Path(self.state_dir), SystemClock()):
            yield

    @contextmanager
    def drops(self, pump: str) -> Iterator[None]:
        """Held while a pump's files are dropped. The pool does the same; `dg launch` goes past pools."""
        with process_lock(Path(self.state_dir), f"{pump}-drop", SystemClock()):
            yield

    @contextmanager
    def syncs(self) -> Iterator[None]:
        """Held while a part of the sync runs: two at once would each take the other's writes for changes."""
        with process_lock(Path(self.state_dir), "sync", SystemClock()):
            yield

    @contextmanager
    def activity_writes(self) -> Iterator[None]:
        """Held while activities are stored: two transactions that add one guid at once would both add it."""
        with process_lock(Path(self.state_dir), "activity-writes", SystemClock()):
            yield


def build_resources(settings: Settings) -> dict[str, Any]:
    """The resources of the code location by the names that assets ask for."""
    budget = settings.config.api_budget
    return {
        "warehouse": WarehouseResource(snowflake=_snowflake(settings.snowflake)),
        "s3": S3Resource(),
        "marketo": MarketoResource(
            base_url=settings.marketo_base_url,
            client_id=dg.EnvVar("MARKETO_CLIENT_ID"),
            client_secret=dg.EnvVar("MARKETO_CLIENT_SECRET"),
            calls_per_day=budget.calls_per_day,
            reserve_for_others=budget.reserve_for_others,
            calls_per_20s=budget.calls_per_20s,
            concurrent_calls=budget.concurrent_calls,
            state_dir=str(settings.api_state),
            export_poll_seconds=settings.export_poll_seconds,
        ),
    }


def _snowflake(settings: SnowflakeSettings) -> SnowflakeResource:
    arguments: dict[str, Any] = {
        # Exact: a NUMBER with decimals is otherwise rounded to a float on its way into the CSV file.
        "arrow_number_to_decimal": True,
        # Fingerprints are made of text, so what text a time becomes must not depend on the account's settings.
        "session_parameters": {
            "TIMEZONE": "UTC",
            **dict.fromkeys(_TIMESTAMP_FORMATS, "YYYY-MM-DD HH24:MI:SS.FF9 TZHTZM"),
            "TIMESTAMP_NTZ_OUTPUT_FORMAT": "YYYY-MM-DD HH24:MI:SS.FF9",
            "DATE_OUTPUT_FORMAT": "YYYY-MM-DD",
        },
    }
    if settings.host:
        arguments |= {
            "host": settings.host,
            "port": settings.port,
            "protocol": settings.protocol,
            "network_timeout": _LOCAL_NETWORK_TIMEOUT,
        }
    with_password = settings.auth == "password"
    return SnowflakeResource(
        account=settings.account,
        user=settings.user,
        database=settings.database,
        schema=settings.schema,
        role=settings.role,
        warehouse=settings.warehouse,
        autocommit=True,
        additional_snowflake_connection_args=arguments,
        password=dg.EnvVar("SNOWFLAKE_PASSWORD") if with_password else None,
        private_key_path=None if with_password else dg.EnvVar("SNOWFLAKE_PRIVATE_KEY_PATH"),
    )
