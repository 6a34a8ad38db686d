"""A real `dagster dev` with its daemon over the stand-ins.

Guards against: a sensor that works in a test and not under the daemon, a failed file that cannot be run again from the
UI, pools that never free their slot, processes left behind.
"""

import os
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

MAPPING = """
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


@pytest.fixture(scope="module")
def platform(snowflake_port: int, s3_url: str, s3: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("platform")
    (folder / "marketo.yaml").write_text(MAPPING)
    (folder / "home").mkdir()
    (folder / "home" / "dagster.yaml").write_text((PROJECT / "dagster.yaml").read_text())
    bucket = s3.create_bucket(Bucket="end-to-end")
    # The first describe after the first file fails: its run fails, and a person runs it again.
    refused_once = Fault(call="GET /rest/v1/leads/describe.json", kind="error", code="603", first=1)
    with ExitStack() as stack:
        emulator = stack.enter_context(closing(Emulator(EmulatorOptions(faults=[refused_once]), SystemClock())))
        server = stack.enter_context(LocalServer(emulator))
        environment = {
            **processes.snowflake_environment(snowflake_port, "END_TO_END"),
            **processes.s3_environment(s3_url, bucket=bucket.name),
            **processes.marketo_environment(server.url, emulator.options.client_id, emulator.options.client_secret),
            "MARKETO_ASSETS_ENV": "local",
            "MARKETO_ASSETS_CONFIG": str(folder / "marketo.yaml"),
            "DAGSTER_HOME": str(folder / "home"),
        }
        warehouse = stack.enter_context(open_warehouse(environment))
        dagster = dagster_server(PROJECT, environment, folder / "dagster.log")
        stack.callback(dagster.stop)
        dagster.wait_until_ready(START_SECONDS)
        yield Platform(dagster, bucket, environment["PUMP_PREFIX"], warehouse, emulator)


def test_a_file_nobody_announced_fails_is_run_again_from_the_ui_and_arrives(platform: Platform) -> None:
    platform.put("by hand.csv", b"email_address,first_name\nada@example.com,Ada\nbob@example.com,Bob\n")
    platform.until("the sensor's run", lambda: bool(platform.partitions_of_failed_runs()))
    (partition,) = platform.partitions_of_failed_runs()
    assert partition.startswith("by%20hand.csv@")
    assert platform.emails() == []
    answer = platform.query(
        "mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) { __typename } }",
        params={"assetSelection": [{"path": ["contacts", "leads"]}], "partitionNames": [partition]},
    )
    assert answer["launchPartitionBackfill"]["__typename"] == "LaunchBackfillSuccess"
    platform.until("the second run", lambda: platform.files().get("by hand.csv") == "done")
    assert platform.emails() == ["ada@example.com", "bob@example.com"]
    statuses = platform.warehouse.rows("select status from LEAD_SYNC_RESULTS where file = 'by hand.csv'")
    assert [row["status"] for row in statuses] == ["created", "created"]


def test_files_that_arrive_together_are_all_taken_through_the_sensor_alone(platform: Platform) -> None:
    names = [f"together/{number}.csv" for number in range(3)]
    for number, name in enumerate(names):
        platform.put(name, f"email_address,first_name\nfile{number}@example.com,File\n".encode())
    platform.until("all three", lambda: all(platform.files().get(name) == "done" for name in names))
    assert {f"file{number}@example.com" for number in range(3)} <= set(platform.emails())
    rows = platform.warehouse.rows(
        "select file, status from LEAD_SYNC_RESULTS where file like 'together/%%' order by file"
    )
    assert [(row["file"], row["status"]) for row in rows] == [(name, "created") for name in names]


def test_stopping_it_leaves_no_process_behind(platform: Platform) -> None:
    children = psutil.Process(platform.dagster.pid).children(recursive=True)
    assert len(children) > 2
    platform.dagster.stop()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    assert not psutil.pid_exists(platform.dagster.pid) or platform.dagster.pid == os.getpid()
