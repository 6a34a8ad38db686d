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
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import requests
import yaml
from dagster_aws.s3 import S3Resource
from requests.adapters import HTTPAdapter

from marketo_assets.build import build_defs
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
    """Notes when each write of leads was sent and when its answer had been read, in seconds of the monotonic clock."""

    def __init__(self, connections: int) -> None:
        super().__init__(pool_connections=1, pool_maxsize=connections)
        self.lead_writes: list[tuple[float, float]] = []

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """One call."""
        started = time.monotonic()
        response = super().send(request, *args, **kwargs)
        assert response.content is not None  # reads the body: the answer counts when it has arrived
        if request.url and request.url.endswith(LEADS_PATH):
            self.lead_writes.append((started, time.monotonic()))
        return response


@dataclass
class LimitedMarketo:
    """Stands where MarketoResource does: the same client over the same HTTP, with these limits."""

    environment: Mapping[str, str]
    limits: ApiLimits
    state_dir: Path
    transport: TimedTransport = field(init=False)
    stats: list[CallStats] = field(default_factory=list)
    """One for each client that was made."""

    def __post_init__(self) -> None:
        """Connections for as many calls as there may be at once."""
        self.transport = TimedTransport(self.limits.concurrent_calls)

    @property
    def concurrent_calls(self) -> int:
        """As the resource has it."""
        return self.limits.concurrent_calls

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

    def calls(self) -> dict[str, int]:
        """Calls sent so far by endpoint, whatever they were for."""
        total: dict[str, int] = {}
        for stats in self.stats:
            for endpoint, calls in stats.calls_by_endpoint.items():
                total[endpoint] = total.get(endpoint, 0) + calls
        return total


@dataclass(frozen=True)
class Place:
    """The pump of marketo.yaml over running stand-ins. `environment` says to any process how to reach them."""

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
        return self._materialize("drop", None)

    def leads(self, partition: str) -> dict[str, Any]:
        """Materialize contacts/leads for one file; returns its metadata."""
        return self._materialize("leads", partition)

    def partitions(self) -> list[str]:
        """The files on S3, as the sensor would name them, oldest first."""
        return [file.partition_key for file in sorted(self.bucket.list_files(), key=lambda file: file.last_modified)]

    def _materialize(self, asset: str, partition: str | None) -> dict[str, Any]:
        if partition is not None:
            self.instance.add_dynamic_partitions(f"{PUMP}_files", [partition])
        result = self.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            asset_selection=[dg.AssetKey([PUMP, asset])], instance=self.instance, partition_key=partition
        )
        (event,) = result.get_asset_materialization_events()
        return {name: value.value for name, value in event.materialization.metadata.items()}


@contextmanager
def stand_ins(options: EmulatorOptions = FREE_EMULATOR, *, rows_per_file: int = 100_000) -> Iterator[dict[str, str]]:
    """Start all three with nothing in them; the variables by which they and a marketo.yaml of that file size are found.

    S3 keeps its objects in memory, Snowflake and Marketo theirs in files.
    """
    with TemporaryDirectory(prefix="marketo_assets_bench_") as name, ExitStack() as stack:
        folder = Path(name)
        databases = {
            processes.DATABASE: [processes.SCHEMA],
            processes.SOURCE_DATABASE: [processes.SOURCE_SCHEMA],
        }
        servers = [
            processes.marketo_server(options, folder / "logs" / "marketo.log"),
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
            "MARKETO_ASSETS_CONFIG": str(_config(folder, rows_per_file)),
            "DAGSTER_HOME": str(_dagster_home(folder)),
            **processes.marketo_environment(marketo.url, options.client_id, options.client_secret),
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
        marketo = LimitedMarketo(environment, limits, folder / "api")
        with dg.DagsterInstance.ephemeral() as instance:
            definitions = build_defs(settings, resources={"marketo": marketo})
            yield Place(environment, folder, marketo, settings, definitions, instance)
    finally:
        os.environ.clear()
        os.environ.update(before)


def _config(folder: Path, rows_per_file: int) -> Path:
    """The project's own marketo.yaml with another size of files."""
    config = yaml.safe_load(Path("marketo.yaml").read_text(encoding="utf-8"))
    config["pumps"][PUMP]["max_rows_per_file"] = rows_per_file
    path = folder / "marketo.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


def _dagster_home(folder: Path) -> Path:
    home = folder / "dagster"
    home.mkdir()
    shutil.copy("dagster.yaml", home / "dagster.yaml")
    return home
