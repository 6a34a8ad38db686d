"""The local Snowflake, S3 and Marketo for one benchmark, and the project's own assets run against them.

Only the client is made here rather than by its Dagster resource, for limits that marketo.yaml cannot express and for
the times of its calls. What is measured belongs to the benchmarks.
"""

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal
from urllib.parse import urlsplit

import dagster as dg
import requests
import yaml
from dagster_aws.s3 import S3Resource
from requests.adapters import HTTPAdapter

from marketo_assets.build import build_defs
from marketo_assets.extract.schedules import RANGE_END_TAG, RANGE_START_TAG
from marketo_assets.marketo.auth import TOKEN_PATH
from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.clock import SystemClock
from marketo_assets.marketo.leads import LEADS_PATH
from marketo_assets.marketo.limits import ApiBudget, ApiLimits, lead_write_lock, process_lock
from marketo_assets.marketo.stats import CallStats
from marketo_assets.pump.assets import pump_bucket
from marketo_assets.pump.files import Bucket
from marketo_assets.sandbox import processes
from marketo_assets.sandbox.marketo.options import EmulatorOptions
from marketo_assets.settings import Settings

PUMP = "contacts"
NO_LIMITS = ApiLimits(calls_per_window=1_000_000)
"""Calls are counted as always, and never wait."""

FREE_EMULATOR = EmulatorOptions(rate=None, concurrency=None, daily_quota=None)


class TimedTransport(HTTPAdapter):
    """Notes when each call was sent and when its answer had been read, in seconds of the monotonic clock."""

    def __init__(self, connections: int) -> None:
        super().__init__(pool_connections=1, pool_maxsize=connections)
        self.calls: list[tuple[str, float, float]] = []
        """Path, sent, answered. A request for a token is no call."""

    @property
    def lead_writes(self) -> list[tuple[float, float]]:
        """When each write of leads was sent and answered."""
        return [(sent, answered) for path, sent, answered in self.calls if path == LEADS_PATH]

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """One call."""
        started = time.monotonic()
        response = super().send(request, *args, **kwargs)
        if not kwargs.get("stream"):
            assert response.content is not None  # reads the body: the answer counts when it has arrived
        path = urlsplit(request.url or "").path
        if path != TOKEN_PATH:
            self.calls.append((path, started, time.monotonic()))
        return response


@dataclass(frozen=True)
class Past:
    """What Marketo has had when it starts, and how marketo.yaml asks for it."""

    activities: int
    days: int
    route: Literal["bulk", "rest"]
    types: Literal["all"] | list[int] = "all"
    leads: int = 10_000


@dataclass
class LimitedMarketo:
    """Stands where MarketoResource does: the same client over the same HTTP, with these limits."""

    environment: Mapping[str, str]
    limits: ApiLimits
    state_dir: Path
    export_poll_seconds: float
    transport: TimedTransport = field(init=False)
    stats: list[CallStats] = field(default_factory=list)
    """One for each client that was made."""
    storing: list[tuple[float, float]] = field(default_factory=list)
    """CPU seconds of this process (user and system, all threads) and seconds, each time activities were stored."""

    def __post_init__(self) -> None:
        """Connections for as many calls as there may be at once."""
        self.transport = TimedTransport(self.limits.concurrent_calls)

    @property
    def concurrent_calls(self) -> int:
        """As the resource has it."""
        return self.limits.concurrent_calls

    @property
    def clock(self) -> SystemClock:
        """As the resource has it."""
        return SystemClock()

    @property
    def folder(self) -> Path:
        """As the resource has it."""
        folder = self.state_dir / "exports"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def client(self) -> Iterator[MarketoClient]:
        """A client within the limits."""
        url, client_id, secret = (
            self.environment[f"MARKETO_{name}"] for name in ("BASE_URL", "CLIENT_ID", "CLIENT_SECRET")
        )
        clock = SystemClock()
        with closing(ApiBudget(self.state_dir, self.limits, clock)) as budget:
            client = MarketoClient(url, client_id, secret, budget, clock=clock, transport=self.transport)
            self.stats.append(client.stats)
            yield client

    @contextmanager
    def lead_writes(self) -> Iterator[None]:
        """Held while leads are written."""
        with lead_write_lock(self.state_dir, SystemClock()):
            yield

    @contextmanager
    def drops(self, pump: str) -> Iterator[None]:
        """Held while a drop of the pump runs."""
        with process_lock(self.state_dir, f"{pump}-drop", SystemClock()):
            yield

    @contextmanager
    def syncs(self) -> Iterator[None]:
        """Held while a part of the sync runs."""
        with process_lock(self.state_dir, "sync", SystemClock()):
            yield

    @contextmanager
    def activity_writes(self) -> Iterator[None]:
        """Held while activities are stored; of a bulk file, from its first byte read to the warehouse's last yes."""
        with process_lock(self.state_dir, "activity-writes", SystemClock()):
            cpu, started = time.process_time(), time.monotonic()
            yield
            self.storing.append((time.process_time() - cpu, time.monotonic() - started))

    def calls(self) -> dict[str, int]:
        """Calls sent so far by endpoint, whatever they were for."""
        total: dict[str, int] = {}
        for stats in self.stats:
            for endpoint, calls in stats.calls_by_endpoint.items():
                total[endpoint] = total.get(endpoint, 0) + calls
        return total


@dataclass(frozen=True)
class Place:
    """The assets of marketo.yaml over running stand-ins. `environment` says to any process how to reach them."""

    environment: Mapping[str, str]
    folder: Path
    marketo: LimitedMarketo
    settings: Settings
    definitions: dg.Definitions
    instance: dg.DagsterInstance

    @property
    def bucket(self) -> Bucket:
        """The pump's folder on S3."""
        return pump_bucket(self.settings, PUMP, S3Resource())

    def drop(self) -> dict[str, Any]:
        """Materialize contacts/drop; returns its metadata."""
        (told,) = self._materialize(PUMP, "drop").values()
        return told

    def leads(self, partition: str) -> dict[str, Any]:
        """Materialize contacts/leads for one file; returns its metadata."""
        self.instance.add_dynamic_partitions(f"{PUMP}_files", [partition])
        (told,) = self._materialize(PUMP, "leads", partition_key=partition).values()
        return told

    def activity_types(self) -> None:
        """Materialize marketo/activity_types, as its schedule has done before anybody asks for activities."""
        self._materialize("marketo", "activity_types")

    def activities(self, first: date, last: date) -> dict[str | None, dict[str, Any]]:
        """Materialize marketo/activities for these days as one run of a backfill does; returns the metadata by day."""
        tags = {RANGE_START_TAG: first.isoformat(), RANGE_END_TAG: last.isoformat()}
        return self._materialize("marketo", "activities", tags=tags)

    def partitions(self) -> list[str]:
        """The files on S3, as the sensor would name them, oldest first."""
        return [file.partition_key for file in sorted(self.bucket.list_files(), key=lambda file: file.last_modified)]

    def _materialize(self, group: str, asset: str, **arguments: Any) -> dict[str | None, dict[str, Any]]:
        """Its metadata by partition."""
        result = self.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            asset_selection=[dg.AssetKey([group, asset])], instance=self.instance, **arguments
        )
        return {
            event.partition: {name: value.value for name, value in event.materialization.metadata.items()}
            for event in result.get_asset_materialization_events()
        }


@contextmanager
def stand_ins(
    options: EmulatorOptions = FREE_EMULATOR, *, rows_per_file: int = 100_000, past: Past | None = None
) -> Iterator[dict[str, str]]:
    """Start all three; the variables by which they, and a marketo.yaml for what is measured, are found.

    Nothing is in them but the activities of `past`. S3 keeps its objects in memory, Snowflake and Marketo theirs in
    files.
    """
    with TemporaryDirectory(prefix="marketo_assets_bench_") as name, ExitStack() as stack:
        folder = Path(name)
        databases = {
            processes.DATABASE: [processes.SCHEMA],
            processes.SOURCE_DATABASE: [processes.SOURCE_SCHEMA],
        }
        servers = [
            _marketo_server(options, folder / "logs" / "marketo.log", past),
            processes.snowflake_server(folder / "snowflake", folder / "logs" / "snowflake.log", databases),
            processes.s3_server(None, folder / "logs" / "s3.log", [processes.BUCKET]),
        ]
        for server in servers:
            stack.callback(server.stop)
        for server in servers:
            server.wait_until_ready()
        marketo, snowflake, s3 = servers
        yield {
            "MARKETO_ASSETS_ENV": "local",
            "MARKETO_ASSETS_CONFIG": str(_config(folder, rows_per_file, past)),
            "DAGSTER_HOME": str(_dagster_home(folder)),
            **processes.marketo_environment(marketo.url, options),
            "MARKETO_EXPORT_POLL_SECONDS": str(options.export_refresh_seconds),
            **processes.snowflake_environment(snowflake.port),
            **processes.s3_environment(s3.url),
        }


@contextmanager
def place(environment: Mapping[str, str], limits: ApiLimits = NO_LIMITS) -> Iterator[Place]:
    """The project's assets over stand-ins that run already, in this process."""
    before = dict(os.environ)
    os.environ.update(environment)  # EnvVar and the AWS SDK look there
    try:
        folder = Path(environment["DAGSTER_HOME"])
        settings = Settings.from_env(environment)
        marketo = LimitedMarketo(environment, limits, folder / "api", settings.export_poll_seconds)
        with dg.DagsterInstance.ephemeral() as instance:
            definitions = build_defs(settings, resources={"marketo": marketo})
            yield Place(environment, folder, marketo, settings, definitions, instance)
    finally:
        os.environ.clear()
        os.environ.update(before)


def _marketo_server(options: EmulatorOptions, log: Path, past: Past | None) -> processes.Server:
    if past is None:
        return processes.marketo_server(options, log)
    return processes.marketo_server(options, log, leads=past.leads, activities=past.activities, days=past.days)


def _config(folder: Path, rows_per_file: int, past: Past | None) -> Path:
    """The project's own marketo.yaml with another size of files, and with what of the past is asked for."""
    config = yaml.safe_load(Path("marketo.yaml").read_text(encoding="utf-8"))
    config["pumps"][PUMP]["max_rows_per_file"] = rows_per_file
    if past:
        start = datetime.now(UTC).date() - timedelta(days=past.days)
        config["extract"]["activities"] |= {"start": start, "route": past.route, "types": past.types}
    path = folder / "marketo.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


def _dagster_home(folder: Path) -> Path:
    home = folder / "dagster"
    home.mkdir()
    shutil.copy("dagster.yaml", home / "dagster.yaml")
    return home
