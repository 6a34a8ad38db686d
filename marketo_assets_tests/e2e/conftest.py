"""One `dagster dev` with its daemon over the stand-ins, for all tests of this folder that a worker runs."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from mypy_boto3_s3.service_resource import Bucket

from marketo_assets.marketo.clock import SystemClock
from marketo_assets.sandbox import processes
from marketo_assets.sandbox.contacts import open_warehouse
from marketo_assets.sandbox.dagster_dev import START_SECONDS, dagster_server
from marketo_assets.sandbox.marketo import Emulator, EmulatorOptions, Fault, LocalServer
from marketo_assets.warehouse.session import Warehouse

PROJECT = Path(__file__).parents[2]
DEADLINE_SECONDS = 150.0
POLL_SECONDS = 0.3

CONFIG = """
pumps:
  contacts:
    source: {table: PROD.PUMPS_SENSITIVE.CONTACTS, key: email_address, updated_at: last_changed}
    mapping: {email_address: email, first_name: firstName}
"""


@dataclass
class Platform:
    """Dagster at work, and where to look."""

    dagster: processes.Server
    bucket: Bucket
    prefix: str
    warehouse: Warehouse
    emulator: Emulator

    def query(self, query: str, **variables: Any) -> dict[str, Any]:
        """What the UI would ask."""
        body = {"query": query, "variables": variables}
        data: dict[str, Any] = requests.post(f"{self.dagster.url}/graphql", json=body, timeout=30).json()["data"]
        return data

    def launch_backfill(self, asset: str, *partitions: str) -> str:
        """As the UI's button does; its id."""
        answer = self.query(
            "mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params)"
            " { ... on LaunchBackfillSuccess { backfillId } } }",
            params={"assetSelection": [{"path": asset.split("/")}], "partitionNames": partitions},
        )
        return str(answer["launchPartitionBackfill"]["backfillId"])

    def until(self, what: str, condition: Callable[[], bool]) -> None:
        """Wait for it, not for a time."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            self.dagster.check()
            assert time.monotonic() < deadline, f"{what} did not happen; log: {self.dagster.log.read_text()[-3000:]}"
            time.sleep(POLL_SECONDS)

    def put(self, name: str, content: bytes) -> None:
        self.bucket.put_object(Key=f"{self.prefix}/contacts/{name}", Body=content)

    def files(self) -> dict[str, str]:
        """Path to state, as the ledger has it."""
        tables = self.warehouse.rows("select table_name from information_schema.tables where table_name = 'PUMP_FILES'")
        return (
            {row["file"]: row["state"] for row in self.warehouse.rows("select file, state from PUMP_FILES")}
            if tables
            else {}
        )

    def emails(self) -> list[str]:
        return sorted(lead["email"] for lead in self.emulator.leads())

    def partitions_of_failed_runs(self) -> list[str]:
        runs = self.query(
            "{ runsOrError(filter: {statuses: [FAILURE]}) { ... on Runs { results { tags { key value } } } } }"
        )["runsOrError"]["results"]
        return [tag["value"] for run in runs for tag in run["tags"] if tag["key"] == "dagster/partition"]


@pytest.fixture(scope="package")
def platform(snowflake_port: int, s3_url: str, s3: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Also guards against processes that stay behind when it is stopped."""
    folder = tmp_path_factory.mktemp("platform")
    (folder / "marketo.yaml").write_text(CONFIG)
    (folder / "home").mkdir()
    (folder / "home" / "dagster.yaml").write_text((PROJECT / "dagster.yaml").read_text())
    bucket = s3.create_bucket(Bucket=f"end-to-end-{time.time_ns()}")
    # The first describe after the first file fails: its run fails, and a person runs it again.
    refused_once = Fault(call="GET /rest/v1/leads/describe.json", kind="error", code="603", first=1)
    options = EmulatorOptions(faults=[refused_once])
    with ExitStack() as stack:
        emulator = stack.enter_context(closing(Emulator(options, SystemClock())))
        server = stack.enter_context(LocalServer(emulator))
        environment = {
            **processes.snowflake_environment(snowflake_port, f"END_TO_END_{time.time_ns()}"),
            **processes.s3_environment(s3_url, bucket=bucket.name),
            **processes.marketo_environment(server.url, options),
            "MARKETO_ASSETS_ENV": "local",
            "MARKETO_ASSETS_CONFIG": str(folder / "marketo.yaml"),
            "DAGSTER_HOME": str(folder / "home"),
        }
        warehouse = stack.enter_context(open_warehouse(environment))
        dagster = dagster_server(PROJECT, environment, folder / "dagster.log")
        stack.callback(dagster.stop)
        dagster.wait_until_ready(START_SECONDS)
        yield Platform(dagster, bucket, environment["PUMP_PREFIX"], warehouse, emulator)
        children = psutil.Process(dagster.pid).children(recursive=True)
        assert len(children) > 2
        dagster.stop()
        _, alive = psutil.wait_procs(children, timeout=10)
        assert alive == []
        assert not psutil.pid_exists(dagster.pid)
