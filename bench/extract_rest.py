"""How much of what Marketo's limits allow the REST route makes use of, with a window that is a tenth of Marketo's."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median

from bench.rate import LATENCY_SECONDS, LIMITS, Least
from bench.results import Bound, Measurement
from bench.stand_ins import Past, place, stand_ins
from marketo_assets.marketo.limits import PACE, WINDOW_MARGIN
from marketo_assets.sandbox.marketo.options import EmulatorOptions

ACTIVITIES, QUICK_ACTIVITIES = 200_000, 900
DAYS, QUICK_DAYS = 28, 2
LATE_DAYS = 3
"""As marketo.yaml has it: what is read beyond the days asked for, for activities that were committed late."""
RUNS = 3
WANTED_SHARE = 0.95


@dataclass(frozen=True)
class Run:
    """One run over the days."""

    calls: list[tuple[str, float, float]]
    """Path, sent, answered; whatever they were for."""
    errors: Mapping[str, int]
    """Calls that the emulator refused, by code."""
    rows: int

    @property
    def seconds(self) -> float:
        """From the first call to the last answer."""
        return max(end for _, _, end in self.calls) - min(start for _, start, _ in self.calls)

    @property
    def least(self) -> Least:
        """What so many calls would take at the least."""
        return Least(len(self.calls))

    @property
    def share(self) -> float:
        """Of what the limits allow."""
        return self.least.seconds / self.seconds

    @property
    def over_limit(self) -> int:
        """Calls answered 606 or 615."""
        return self.errors.get("606", 0) + self.errors.get("615", 0)


def measure(*, quick: bool) -> Measurement:
    """The days by REST, each time against a new emulator that has the limits."""
    runs: list[Run] = []
    for _ in range(1 if quick else RUNS):
        runs.append(_run(QUICK_ACTIVITIES, QUICK_DAYS) if quick else _run(ACTIVITIES, DAYS))
        print(f"  {runs[-1].seconds:.2f} s, {len(runs[-1].calls)} calls, {runs[-1].share:.1%}", flush=True)
    share, over_limit = median(run.share for run in runs), sum(run.over_limit for run in runs)
    middle = min(runs, key=lambda run: abs(run.share - share))
    calls, least = len(middle.calls), middle.least
    return Measurement(
        title="activities by REST within Marketo's limits",
        bounds=(
            Bound("calls/s, of what the limits allow (median)", share, "at least", WANTED_SHARE, ""),
            Bound("calls answered 606 or 615 (all runs)", over_limit, "at most", 0, ""),
        ),
        arithmetic=(
            (
                f"Limits: {LIMITS.calls_per_window} calls per {LIMITS.window_seconds:g} s (sliding),"
                f" {LIMITS.concurrent_calls} in flight, {LATENCY_SECONDS:g} s latency; the emulator refuses what goes"
                f" over. {DAYS} closed days and {LATE_DAYS} more for late ones, through Dagster into the warehouse; all"
                " activity types, ten to a call, so that each page of the stream is asked for once per ten types."
            ),
            (
                f"Every call of the run counts: {calls}. The k-th cannot start before {LIMITS.window_seconds:g} x"
                f" floor((k - 1) / {LIMITS.calls_per_window}) s, so the last window opens at"
                f" {least.last_window_starts:g} s; its {least.calls_in_last_window} calls, {LIMITS.concurrent_calls}"
                f" at a time, take at least {least.last_seconds:.1f} s: {least.seconds:.1f} s in all."
            ),
            (
                f"Measured {len(runs)} time(s), from the first call to the last answer: {middle.seconds:.2f} s in the"
                f" middle one, {least.seconds:.1f} / {middle.seconds:.2f} = {share:.1%}; {over_limit} calls over the"
                " limit in all runs together."
            ),
            (
                f"The client holds its window {WINDOW_MARGIN:.1%} longer than Marketo's, and lets half its calls go at"
                f" once, the other half {1 / 2 / PACE:.0%} of the window later."
            ),
        ),
        figures={
            "seconds, first call to last answer, each run": [run.seconds for run in runs],
            "seconds at the least, each run": [run.least.seconds for run in runs],
            "share of what the limits allow, each run": [run.share for run in runs],
            "calls over the limit, each run": [run.over_limit for run in runs],
            "calls by endpoint, middle run": dict(Counter(path for path, _, _ in middle.calls)),
            "rows of the days, each run": [run.rows for run in runs],
        },
    )


def _run(activities: int, days: int) -> Run:
    options = EmulatorOptions(
        rate=(LIMITS.calls_per_window, LIMITS.window_seconds),
        concurrency=LIMITS.concurrent_calls,
        latency_ms=LATENCY_SECONDS * 1000,
    )
    past = Past(activities, days + LATE_DAYS + 1, "rest")
    last = datetime.now(UTC).date() - timedelta(days=LATE_DAYS)
    with stand_ins(options, past=past) as environment, place(environment, LIMITS) as here:
        here.activity_types()
        before = len(here.marketo.transport.calls)
        told = here.activities(last - timedelta(days=days - 1), last)
        calls = here.marketo.transport.calls[before:]
        with here.marketo.client() as client:
            (answered,) = client.request("GET", "/rest/v1/stats/errors.json").result
        errors = {error["errorCode"]: error["count"] for error in answered["errors"]}
        return Run(calls, errors, sum(int(day["rows_read"]) for day in told.values()))
