"""How much of what Marketo's limits allow the pump makes use of, with a window that is a tenth of Marketo's."""

import time
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.contacts import clean_contacts, write_csv
from bench.results import Bound, Measurement
from bench.stand_ins import place, stand_ins
from marketo_assets.marketo.limits import ApiLimits
from marketo_assets.pump.rows import MAX_BATCH_ROWS
from marketo_assets.sandbox.marketo.options import EmulatorOptions

ROWS, QUICK_ROWS = 100_000, 3_000
WANTED_SHARE = 0.95
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


def measure(*, quick: bool) -> Measurement:
    """One file through contacts/leads against an emulator that has the limits."""
    rows = QUICK_ROWS if quick else ROWS
    options = EmulatorOptions(
        rate=(LIMITS.calls_per_window, LIMITS.window_seconds),
        concurrency=LIMITS.concurrent_calls,
        latency_ms=LATENCY_SECONDS * 1000,
    )
    with stand_ins(options) as environment, place(environment, LIMITS) as here, TemporaryDirectory() as folder:
        path = Path(folder) / "rate.csv"
        write_csv(clean_contacts(rows), [line.column for line in here.settings.config.pumps["contacts"].mapping], path)
        here.bucket.put("rate.csv", path, {})
        print(f"  {rows:,} contacts of 57 columns, {path.stat().st_size / 1e6:.0f} MB, are on S3")
        started = time.monotonic()
        told = here.leads(here.partitions()[0])
        whole = time.monotonic() - started
        writes = here.marketo.transport.lead_writes
        with here.marketo.client() as client:
            (answered,) = client.request("GET", "/rest/v1/stats/errors.json").result
    errors = {error["errorCode"]: error["count"] for error in answered["errors"]}
    first, last = min(start for start, _ in writes), max(end for _, end in writes)
    elapsed, least = last - first, Least(ceil(rows / MAX_BATCH_ROWS))
    allowed, reached = rows / least.seconds, told["created"] / elapsed
    return Measurement(
        title="leads per second within Marketo's limits",
        bounds=(
            Bound("leads/s, of what the limits allow", reached / allowed, "at least", WANTED_SHARE, ""),
            Bound("calls answered 606 or 615", errors.get("606", 0) + errors.get("615", 0), "at most", 0, ""),
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
                f"Measured from the first write to the last answer: {elapsed:.2f} s for {told['created']:,} leads,"
                f" {reached:,.0f} leads/s, {reached / allowed:.1%} of it, in {len(writes)} calls."
            ),
            (
                "The client holds its window 2 % longer than Marketo's and spaces its calls once half of a window is"
                " used, so that calls that are late by different amounts still arrive a whole window apart."
            ),
        ),
        figures={
            "seconds, first write to last answer": elapsed,
            "seconds at the least": least.seconds,
            "leads/s": reached,
            "leads/s allowed": allowed,
            "write calls": len(writes),
            "seconds at which calls 1, 101, 201, 301 were sent": _starts(writes),
            "longest call, seconds": max(end - start for start, end in writes),
            "errors the emulator answered, by code": errors or "none",
            "seconds for the whole run (fetch, scan, send, record)": whole,
        },
    )


def _starts(writes: list[tuple[float, float]]) -> list[float]:
    starts = sorted(start for start, _ in writes)
    return [start - starts[0] for start in starts[:: LIMITS.calls_per_window]]
