"""How much of what Marketo's limits allow the pump makes use of, with a window that is a tenth of Marketo's."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.contacts import clean_contacts, write_csv
from bench.mapping import project_mapping
from bench.results import Bound, Measurement
from bench.stand_ins import place, stand_ins
from marketo_assets.marketo.limits import PACE, WINDOW_MARGIN, ApiLimits
from marketo_assets.pump.rows import MAX_BATCH_ROWS
from marketo_assets.sandbox.marketo.options import EmulatorOptions

ROWS, QUICK_ROWS = 100_000, 3_000
WANTED_SHARE = 0.95
RUNS = 3
LATENCY_SECONDS = 0.1
LIMITS = ApiLimits(calls_per_window=100, window_seconds=2.0, concurrent_calls=10)


@dataclass(frozen=True)
class Least:
    """The least time in which so many calls can be made within LIMITS."""

    calls: int

    @property
    def last_window_starts(self) -> float:
        """The k-th call cannot start before window_seconds x floor((k - 1) / calls_per_window)."""
        return LIMITS.window_seconds * ((self.calls - 1) // LIMITS.calls_per_window)

    @property
    def calls_in_last_window(self) -> int:
        """How many are left for it."""
        return self.calls - LIMITS.calls_per_window * ((self.calls - 1) // LIMITS.calls_per_window)

    @property
    def seconds(self) -> float:
        """From the first call to the last answer."""
        return self.last_window_starts + self.last_seconds

    @property
    def last_seconds(self) -> float:
        """The last window's calls, so many at a time."""
        return ceil(self.calls_in_last_window / LIMITS.concurrent_calls) * LATENCY_SECONDS


@dataclass(frozen=True)
class Run:
    """One file, sent from the first write to the last answer."""

    writes: list[tuple[float, float]]
    """When each was sent and answered."""
    created: int
    errors: Mapping[str, int]
    """Calls that the emulator refused, by code."""
    whole_seconds: float
    """The run of the asset: fetch, scan, send, record."""

    @property
    def seconds(self) -> float:
        """From the first write to the last answer."""
        return max(end for _, end in self.writes) - min(start for start, _ in self.writes)

    @property
    def over_limit(self) -> int:
        """Calls answered 606 or 615."""
        return self.errors.get("606", 0) + self.errors.get("615", 0)

    @property
    def window_starts(self) -> list[float]:
        """Seconds after the first write at which every hundredth was sent."""
        starts = sorted(start for start, _ in self.writes)
        return [start - starts[0] for start in starts[:: LIMITS.calls_per_window]]


def measure(*, quick: bool) -> Measurement:
    """Files through contacts/leads, each against a new emulator that has the limits."""
    rows = QUICK_ROWS if quick else ROWS
    runs: list[Run] = []
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rate.csv"
        write_csv(clean_contacts(rows), [field.column for field in project_mapping().fields], path)
        for _ in range(1 if quick else RUNS):
            runs.append(_run(path))
            print(f"  {runs[-1].seconds:.2f} s, {runs[-1].over_limit} calls over the limit", flush=True)
    least = Least(ceil(rows / MAX_BATCH_ROWS))
    allowed = rows / least.seconds
    reached = [run.created / run.seconds for run in runs]
    share, over_limit = median(reached) / allowed, sum(run.over_limit for run in runs)
    return Measurement(
        title="leads per second within Marketo's limits",
        bounds=(
            Bound("leads/s, of what the limits allow (median)", share, "at least", WANTED_SHARE, ""),
            Bound("calls answered 606 or 615 (all runs)", over_limit, "at most", 0, ""),
        ),
        arithmetic=(
            (
                f"Limits: {LIMITS.calls_per_window} calls per {LIMITS.window_seconds:g} s (sliding),"
                f" {LIMITS.concurrent_calls} in flight, {LATENCY_SECONDS:g} s latency; the emulator refuses what goes"
                " over."
            ),
            (
                f"{rows:,} contacts / {MAX_BATCH_ROWS} = {least.calls} calls. The k-th cannot start before"
                f" {LIMITS.window_seconds:g} x floor((k - 1) / {LIMITS.calls_per_window}) s, so the last window opens"
                f" at {least.last_window_starts:g} s; its {least.calls_in_last_window} calls,"
                f" {LIMITS.concurrent_calls} at a time, take at least {least.last_seconds:.1f} s:"
                f" {least.seconds:.1f} s in all, {allowed:,.0f} leads/s."
            ),
            (
                f"Measured {len(runs)} time(s), from the first write to the last answer, every run counted: median"
                f" {median(run.seconds for run in runs):.2f} s, {median(reached):,.0f} leads/s, {share:.1%} of it;"
                f" {over_limit} calls over the limit in all runs together."
            ),
            (
                f"The client holds its window {WINDOW_MARGIN:.1%} longer than Marketo's, and lets half its calls go at"
                f" once, the other half {1 / 2 / PACE:.0%} of the window later."
            ),
            (
                "Client, emulated Marketo and local Snowflake share this machine: a process that waits for the"
                " processor delays calls, and other work on the machine shows here before anywhere else."
            ),
        ),
        figures={
            "seconds, first write to last answer, each run": [run.seconds for run in runs],
            "share of what the limits allow, each run": [each / allowed for each in reached],
            "calls over the limit, each run": [run.over_limit for run in runs],
            "seconds at the least": least.seconds,
            "leads/s, median": median(reached),
            "leads/s allowed": allowed,
            "write calls, each run": [len(run.writes) for run in runs],
            "seconds at which calls 1, 101, 201, 301 were sent, first run": runs[0].window_starts,
            "longest call in seconds, each run": [max(end - start for start, end in run.writes) for run in runs],
            "seconds of the whole run (fetch, scan, send, record), each": [run.whole_seconds for run in runs],
        },
    )


def _run(path: Path) -> Run:
    options = EmulatorOptions(
        rate=(LIMITS.calls_per_window, LIMITS.window_seconds),
        concurrency=LIMITS.concurrent_calls,
        latency_ms=LATENCY_SECONDS * 1000,
    )
    with stand_ins(options) as environment, place(environment, LIMITS) as here:
        here.bucket.put("rate.csv", path, {})
        started = time.monotonic()
        told = here.leads(here.partitions()[0])
        whole = time.monotonic() - started
        with here.marketo.client() as client:
            (answered,) = client.request("GET", "/rest/v1/stats/errors.json").result
        errors = {error["errorCode"]: error["count"] for error in answered["errors"]}
        return Run(here.marketo.transport.lead_writes, told["created"], errors, whole)
