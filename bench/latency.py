"""From a file put on S3 to its last lead in Marketo, through a real `dagster dev`, and where the seconds go.

Looked at from outside: Dagster's own events, the ledger's times, and the emulator's state file, in which a lead is
there once its call is about to be answered.
"""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import requests

from bench.contacts import clean_contacts, write_csv
from bench.mapping import project_mapping
from bench.results import Measurement
from bench.stand_ins import PUMP, place
from marketo_assets.sandbox.contacts import open_warehouse
from marketo_assets.sandbox.dagster_dev import START_SECONDS, dagster_server
from marketo_assets.sandbox.marketo.options import EmulatorOptions
from marketo_assets.sandbox.processes import Sandbox, SandboxOptions, Server
from marketo_assets.warehouse.session import Warehouse

ROWS, QUICK_ROWS = 10_000, 300
FILES, QUICK_FILES = 4, 1
LATENCY_MS = 100
POLL_SECONDS = 0.02
LONGEST_WAIT_SECONDS = 120.0
_RUNS = """{ runsOrError { ... on Runs { results { status tags { key value } creationTime startTime endTime
  eventConnection { events { __typename ... on MessageEvent { timestamp } } } } } } }"""


@dataclass(frozen=True)
class Moments:
    """What happened to one file, in epoch seconds, in this order."""

    put: float
    requested: float
    dequeued: float
    process_started: float
    step_started: float
    first_lead: float
    last_lead: float
    recorded: float
    ended: float

    @property
    def stages(self) -> dict[str, float]:
        """Seconds between one and the next."""
        return {
            "waiting for the sensor's tick": self.requested - self.put,
            "run queue": self.dequeued - self.requested,
            "process start and imports": self.process_started - self.dequeued,
            "Dagster, from run to step": self.step_started - self.process_started,
            "sessions, describe, fetch, scan, first call": self.first_lead - self.step_started,
            "the other calls": self.last_lead - self.first_lead,
            "after that: until the ledger begins to record": self.recorded - self.last_lead,
            "after that: recording, report, end of run": self.ended - self.recorded,
        }


def measure(*, quick: bool) -> Measurement:
    """Files of other contacts each, one after the other, with Marketo's real limits."""
    rows, files = (QUICK_ROWS, QUICK_FILES) if quick else (ROWS, FILES)
    with TemporaryDirectory(prefix="marketo_assets_bench_") as name, _running(Path(name)) as (dagster, environment):
        folder = Path(name)
        contacts = pa.concat_tables(list(clean_contacts(rows * files)))
        with place(environment) as here, open_warehouse(environment) as warehouse:
            moments = []
            for number in range(files):
                path = folder / f"{number}.csv"
                columns = [field.column for field in project_mapping().fields]
                write_csv(iter([contacts.slice(number * rows, rows)]), columns, path)
                put = time.time()
                here.bucket.put(path.name, path, {})
                leads = _leads_arrive(folder / "marketo.sqlite", (number + 1) * rows, number * rows)
                moments.append(_moments(dagster, warehouse, path.name, put, leads))
                print(f"  {rows:,} rows: last lead {moments[-1].last_lead - put:.1f} s after the put", flush=True)
    seconds = [moment.last_lead - moment.put for moment in moments]
    stages = {name: [moment.stages[name] for moment in moments] for name in moments[0].stages}
    return Measurement(
        title=f"file put on S3 to last lead acknowledged, {rows:,} rows, through a real daemon",
        bounds=(),
        arithmetic=(
            (
                f"{files} file(s), one after the other: the last lead was written {median(seconds):.1f} s (median)"
                f" after the file was put, {min(seconds):.1f} s at best, {max(seconds):.1f} s at worst."
            ),
            (
                f"Marketo's real limits (100 calls per 20 s, 10 in flight), {LATENCY_MS} ms latency."
                " The sensor looks every 10 s, so a file waits between nothing and a little over that; here each is put"
                " when the one before has ended, which is no random moment."
            ),
        ),
        figures={
            "seconds from put to last lead, each file": seconds,
            "of these, median": median(seconds),
            **{f"median seconds: {name}": median(each) for name, each in stages.items()},
        },
    )


@contextmanager
def _running(folder: Path) -> Iterator[tuple[Server, dict[str, str]]]:
    options = SandboxOptions(folder, EmulatorOptions(latency_ms=LATENCY_MS))
    with Sandbox(options) as sandbox:
        home = folder / "dagster"
        home.mkdir()
        (home / "dagster.yaml").write_bytes(Path("dagster.yaml").read_bytes())
        environment = {
            **sandbox.environment,
            "DAGSTER_HOME": str(home),
            "MARKETO_ASSETS_CONFIG": str(Path("marketo.yaml").resolve()),
        }
        dagster = dagster_server(Path.cwd(), environment, folder / "logs" / "dagster.log")
        try:
            dagster.wait_until_ready(START_SECONDS)
            print("  Dagster runs", flush=True)
            yield dagster, environment
        finally:
            dagster.stop()


def _leads_arrive(state: Path, wanted: int, there: int) -> tuple[float, float]:
    """When the first lead beyond those there, and when the last one wanted, was written."""
    first, deadline = 0.0, time.monotonic() + LONGEST_WAIT_SECONDS
    with closing(sqlite3.connect(f"file:{state}?mode=ro", uri=True)) as database:
        while time.monotonic() < deadline:
            (leads,) = database.execute("SELECT count(*) FROM lead").fetchone()
            now = time.time()
            first = first or (now if leads > there else 0.0)
            if leads >= wanted:
                return first, now
            time.sleep(POLL_SECONDS)
    raise TimeoutError(f"{leads} of {wanted} leads after {LONGEST_WAIT_SECONDS:g} s")


def _moments(dagster: Server, warehouse: Warehouse, file: str, put: float, leads: tuple[float, float]) -> Moments:
    run = _finished_run(dagster, file)
    at: dict[str, float] = {}
    for event in run["eventConnection"]["events"]:
        at.setdefault(event["__typename"], float(event["timestamp"]) / 1000)
    (recorded,) = warehouse.rows(
        "select max(recorded_at) as at from LEAD_SYNC_RESULTS where file = %(file)s", file=file
    )
    last_record: datetime = recorded["at"]
    return Moments(
        put=put,
        requested=float(run["creationTime"]),
        dequeued=at["RunStartingEvent"],
        process_started=at["RunStartEvent"],
        step_started=at["ExecutionStepStartEvent"],
        first_lead=leads[0],
        last_lead=leads[1],
        recorded=last_record.replace(tzinfo=UTC).timestamp(),
        ended=float(run["endTime"]),
    )


def _finished_run(dagster: Server, file: str) -> dict[str, Any]:
    """The run of a file, once it has ended well."""
    deadline = time.monotonic() + LONGEST_WAIT_SECONDS
    while time.monotonic() < deadline:
        answer = requests.post(f"{dagster.url}/graphql", json={"query": _RUNS}, timeout=30).json()
        for run in answer["data"]["runsOrError"]["results"]:
            tags = {tag["key"]: tag["value"] for tag in run["tags"]}
            if tags.get("dagster/partition", "").startswith(f"{file}@") and run["endTime"]:
                assert run["status"] == "SUCCESS", json.dumps(tags)
                result: dict[str, Any] = run
                return result
        time.sleep(POLL_SECONDS)
    raise TimeoutError(f"the run of {PUMP}/{file} has not ended")
