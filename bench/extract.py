"""A month of activities by bulk extract through Dagster: calls, time, processor time, memory; and by REST beside it.

Marketo's waiting times are a sixtieth of the real ones, so that what is waited for does not hide what is done.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from marketorestpython.client import MarketoClient as PublicClient

from bench.results import Bound, Measurement
from bench.run_asset import in_own_process
from bench.stand_ins import FREE_EMULATOR, Past, place, stand_ins
from marketo_assets.extract.bulk_route import Exports, activities_of, windows_exported
from marketo_assets.extract.catalog import DELETE_LEAD
from marketo_assets.extract.csv_file import read_activities
from marketo_assets.extract.export_jobs import ExportJobs
from marketo_assets.extract.store import ActivityStore
from marketo_assets.extract.windows import Window, type_groups
from marketo_assets.marketo.activities import activity_types
from marketo_assets.resources import build_resources

DAYS = 30
# A little more than asked for, over a day more than is loaded: the first day is cut by the time of the day it is now.
SIZES, QUICK_SIZES = (1_050_000, 5_250_000), (3_000, 3_000)
MOST_CALLS = 40
LEAST_ROWS_PER_CPU_SECOND = 150_000
MOST_MB = 500
MOST_GROWTH = 1.2
MILLION = 1_000_000
SCALE = 60
REFRESH_SECONDS, EXPORT_SECONDS, EXPORT_SECONDS_PER_MB = 60.0, 60.0, 0.5
OPTIONS = replace(
    FREE_EMULATOR,
    export_refresh_seconds=REFRESH_SECONDS / SCALE,
    export_seconds=EXPORT_SECONDS / SCALE,
    export_seconds_per_mb=EXPORT_SECONDS_PER_MB / SCALE,
    export_quota_bytes=None,
)
STAGE_DAYS = 7
SUNDAY = 6


@dataclass(frozen=True)
class Run:
    """One backfill of `DAYS` days, in a process of its own."""

    told: Mapping[str, Any]

    @property
    def rows(self) -> int:
        """Read and stored."""
        return sum(self.told["rows_by_day"].values())

    @property
    def calls(self) -> int:
        """Whatever they were for."""
        return sum(self.told["calls"].values())

    @property
    def jobs(self) -> int:
        """Of bulk extract."""
        return int(self.told["calls"]["/bulk/v1/activities/export/create.json"])

    @property
    def megabytes(self) -> float:
        """Of their files."""
        return float(self.told["export_bytes"]) / MILLION

    @property
    def storing_cpu_seconds(self) -> float:
        """From the file on the disk to the warehouse's last yes."""
        return float(sum(cpu for cpu, _ in self.told["storing"]))

    @property
    def rows_per_cpu_second(self) -> float:
        """In that time."""
        return self.rows / self.storing_cpu_seconds

    @property
    def peak_mb(self) -> float:
        """Of the process."""
        return float(self.told["peak"]) / MILLION

    @property
    def figures(self) -> dict[str, Any]:
        """What else was measured."""
        return {
            "rows": self.rows,
            "MB of files": self.megabytes,
            "jobs": self.jobs,
            "calls": self.calls,
            "seconds, waiting for the job included, imports not": self.told["seconds"],
            "seconds to store the file": sum(seconds for _, seconds in self.told["storing"]),
            "CPU s of the process, imports included": self.told["cpu_seconds"],
            "CPU s to store the file": self.storing_cpu_seconds,
            "peak MB": self.peak_mb,
            "MB before the run began": self.told["before"] / MILLION,
        }


@dataclass(frozen=True)
class Sample:
    """One day read with marketorestpython."""

    day: date
    rows: int
    rows_there: int
    types: int
    calls: int
    seconds: float
    cpu_seconds: float


def measure(*, quick: bool) -> Measurement:
    """A run over each number of activities; stages and the public client over those of the smaller one."""
    small, large = QUICK_SIZES if quick else SIZES
    last = datetime.now(UTC).date() - timedelta(days=1)
    window = Window(last - timedelta(days=DAYS - 1), last)
    with stand_ins(OPTIONS, past=Past(small, DAYS + 1, "bulk")) as environment:
        first = _run(environment, window)
        stages = _stages(environment, Window(last - timedelta(days=STAGE_DAYS - 1), last))
        sample = _sample(environment, next(day for day in window.days if day.weekday() == SUNDAY), first)
    second = first
    if large > small:  # a quick measurement has shown already that it runs
        with stand_ins(OPTIONS, past=Past(large, DAYS + 1, "bulk")) as environment:
            second = _run(environment, window)
    return Measurement(
        title=f"{DAYS} days of activities into the warehouse, bulk extract",
        bounds=(
            Bound(f"API calls for {first.rows:,} activities of {DAYS} days", first.calls, "at most", MOST_CALLS, ""),
            Bound(
                "rows parsed and loaded per CPU second",
                first.rows_per_cpu_second,
                "at least",
                LEAST_ROWS_PER_CPU_SECOND,
                "",
            ),
            Bound(f"peak memory, {first.rows:,} activities", first.peak_mb, "at most", MOST_MB, "MB"),
            Bound(
                f"peak memory, {second.rows:,} activities against {first.rows:,}",
                second.peak_mb / first.peak_mb,
                "at most",
                MOST_GROWTH,
                "x",
            ),
        ),
        arithmetic=(*_about(first, second), *_about_sample(sample, first)),
        figures={
            **{f"{run.rows:,} activities": run.figures for run in (first, second)},
            f"calls by endpoint, {first.rows:,} activities": first.told["calls"],
            f"calls by endpoint, {second.rows:,} activities": second.told["calls"],
            f"by stage, each alone, {STAGE_DAYS} days, CPU s per million rows": stages,
            "marketorestpython, one day": {
                "day": f"{sample.day}, a Sunday",
                "calls": sample.calls,
                "rows it gave": sample.rows,
                "rows of that day there are": sample.rows_there,
                "seconds": sample.seconds,
                "CPU s": sample.cpu_seconds,
            },
        },
    )


def _about(first: Run, second: Run) -> Iterator[str]:
    yield (
        f"One backfill run of {DAYS} closed days through Dagster, in a process of its own, all activity types, over"
        f" HTTP. Assumed of Marketo: a job is processed for {EXPORT_SECONDS:g} s and {EXPORT_SECONDS_PER_MB:g} s per"
        f" MB, its status moves every {REFRESH_SECONDS:g} s and is looked at as often; here all of it is 1/{SCALE} of"
        " that, the emulator's own work is as long as it is. No limits, no quota of bytes: the larger run goes over"
        " the real 500 MB a day."
    )
    yield (
        f"{first.rows:,} activities: {first.told['seconds']:.0f} s from the start of the run to its end, imports not"
        f" included, {first.jobs} job, {first.calls} calls. Not measured: with the real times the job is ready after"
        f" {EXPORT_SECONDS:g} + {EXPORT_SECONDS_PER_MB:g} x {first.megabytes:.0f} = {_ready_seconds(first):.0f} s, and"
        f" the look after that, one every {REFRESH_SECONDS:g} s, sees it."
    )
    yield (
        f"{first.rows:,} rows / {first.storing_cpu_seconds:.2f} CPU s = {first.rows_per_cpu_second:,.0f} a second:"
        " user and system time of our process, all threads, from the file on the disk to the warehouse's last yes:"
        " read and checked, typed, as Parquet to the warehouse's stage, counted before and after, committed. The"
        " warehouse's own time is not in it, and neither is the download with its SHA-256."
    )
    yield (
        f"Peak memory: {second.peak_mb:.0f} MB / {first.peak_mb:.0f} MB = {second.peak_mb / first.peak_mb:.2f}."
        " MALLOC_ARENA_MAX=2 and MALLOC_TRIM_THRESHOLD_=1000000, as docs/deployment.md says."
    )


def _ready_seconds(run: Run) -> float:
    """After which a job of that size has ended, by Marketo's real times."""
    return EXPORT_SECONDS + EXPORT_SECONDS_PER_MB * run.megabytes


def _about_sample(sample: Sample, first: Run) -> Iterator[str]:
    share = first.rows / sample.rows_there
    yield (
        f"marketorestpython over REST, its own limit of 5 calls a second, {sample.types} types in groups of 10, into"
        f" lists in memory and no warehouse. Measured for one day: {sample.calls} calls and {sample.seconds:.1f} s for"
        f" {sample.rows_there:,} activities, of which it gave {sample.rows:,}: with untilDatetime it ends at the first"
        " page of the next day, and misses what was committed after that."
    )
    yield (
        f"Not measured but by arithmetic: {first.rows:,} / {sample.rows_there:,} = {share:.1f} times as many calls and"
        f" seconds for all {DAYS} days, about {sample.calls * share:,.0f} calls and {sample.seconds * share:,.0f} s;"
        f" ours took {first.calls} calls and {first.told['seconds']:.0f} s, to which the real waiting times above would"
        f" add {_ready_seconds(first) * (1 - 1 / SCALE) + REFRESH_SECONDS:.0f} s at the most."
    )


def _run(environment: Mapping[str, str], window: Window) -> Run:
    run = Run(in_own_process(environment, "activities", window.first.isoformat(), window.last.isoformat()))
    print(
        f"  {run.rows:,} activities: {run.told['seconds']:.0f} s, {run.calls} calls, {run.peak_mb:.0f} MB,"
        f" {run.rows_per_cpu_second:,.0f} rows per CPU second",
        flush=True,
    )
    return run


@contextmanager
def _cpu(seconds: dict[str, float], name: str) -> Iterator[None]:
    started = time.process_time()
    yield
    seconds[name] = seconds.get(name, 0.0) + time.process_time() - started


def _stages(environment: Mapping[str, str], window: Window) -> dict[str, float]:
    """CPU seconds of this process per million rows; the rows are in the warehouse already and are replaced."""
    seconds: dict[str, float] = {}
    found = 0
    with (
        TemporaryDirectory() as folder,
        place(environment) as here,
        here.marketo.client() as client,
        build_resources(here.settings)["warehouse"].session() as warehouse,
    ):
        types = [each.id for each in activity_types(client) if each.id != DELETE_LEAD]
        jobs = ExportJobs(warehouse, "bench", here.marketo.clock)
        store = ActivityStore(warehouse, "bench", here.marketo.clock)
        exports = Exports(client, jobs, activities_of(types), Path(folder), here.marketo.export_poll_seconds)
        with _cpu(seconds, "wait and download, with SHA-256"):
            (file,) = windows_exported(exports, [window])
        tables = read_activities(file.path, rows=file.job.record_count)
        while True:
            with _cpu(seconds, "read"):
                table = next(tables, None)
            if table is None:
                return {name: each / found * MILLION for name, each in seconds.items()}
            found += table.num_rows
            with _cpu(seconds, "Parquet and stage"), warehouse.staged(table):
                pass
            with _cpu(seconds, "Parquet and stage, count, delete, insert, count"), store.added(table):
                pass


def _sample(environment: Mapping[str, str], day: date, run: Run) -> Sample:
    """One day with the public client, as its documentation has it."""
    client = PublicClient("000-AAA-000", FREE_EMULATOR.client_id, FREE_EMULATOR.client_secret)
    client.host = environment["MARKETO_BASE_URL"]
    types = [each["id"] for each in client.execute(method="get_activity_types")]
    calls, rows = _calls(client), 0
    started, cpu = time.monotonic(), time.process_time()
    for group in type_groups(types):
        given = client.execute(
            method="get_lead_activities",
            activityTypeIds=[str(each) for each in group],
            sinceDatetime=f"{day}T00:00:00Z",
            untilDatetime=f"{day}T23:59:59",
        )
        rows += sum(each["activityDate"].startswith(f"{day}") for each in given)
    seconds, cpu_seconds = time.monotonic() - started, time.process_time() - cpu
    there = run.told["rows_by_day"][day.isoformat()]
    return Sample(day, rows, there, len(types), _calls(client) - calls - 1, seconds, cpu_seconds)


def _calls(client: PublicClient) -> int:
    """All calls that Marketo has counted today, this one included."""
    (usage,) = client.execute(method="get_daily_usage")
    return int(usage["total"])
