"""Days of activities into the warehouse, by whichever route: the order of things. No Dagster here.

A closed day is read from end to end; the day that is still open is followed from a watermark. Whatever stops a load,
the rows stored until then stay, and the days that were read whole are told before the error is raised.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Final, Literal

from marketo_assets.extract.bulk_route import ExportedFile, Exports, activities_of, windows_begun, windows_taken
from marketo_assets.extract.csv_file import ActivityFileError, read_activities
from marketo_assets.extract.export_jobs import ExportJobs
from marketo_assets.extract.forecast import BYTES_PER_DAY, Plan, PlannedWindow, Quotas, Route, plan
from marketo_assets.extract.rest_route import DayRows, days_read
from marketo_assets.extract.store import ActivityStore, DayCounts
from marketo_assets.extract.tail import read_tail
from marketo_assets.extract.windows import Window, is_closed, type_groups, windows
from marketo_assets.marketo.bulk_extract import bytes_exported_today
from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.clock import utc_now
from marketo_assets.marketo.errors import MarketoError, QuotaExhaustedError, next_quota_reset
from marketo_assets.marketo.limits import process_lock

_FIXED: Final = "route in marketo.yaml"
_BEGUN: Final = "an earlier run began its export job"


@dataclass(frozen=True)
class LoadTask:
    """The parts that a load leads through, and the rules of marketo.yaml."""

    client: MarketoClient
    store: ActivityStore
    jobs: ExportJobs
    type_ids: Sequence[int]
    route: Literal["auto", "bulk", "rest"]
    lookback: timedelta
    exclusive: Callable[[], AbstractContextManager[None]]
    """Held while rows are stored: two transactions that add one guid at the same time would both add it."""
    folder: Path
    """For files on their way; what lies there outlives a killed run."""
    poll_seconds: float
    calls: int

    @property
    def exports(self) -> Exports:
        """What the bulk route needs of it."""
        return Exports(self.client, self.jobs, activities_of(self.type_ids), self.folder, self.poll_seconds)


@dataclass(frozen=True)
class Loaded:
    """Days that are in the warehouse now, and how they came there."""

    days: Sequence[date]
    route: Route
    reason: str
    counts: DayCounts
    late: dict[date, int] = field(default_factory=dict)
    held: dict[date, int] = field(default_factory=dict)
    """Rows of these days in the table."""
    byte_count: int = 0
    """Of bulk extract's daily quota."""


def load_days(task: LoadTask, days: Sequence[date]) -> Iterator[Loaded]:
    """Load these days; each result is stored when it is given out.

    Raises QuotaExhaustedError where today's quotas do not reach for all of them, and what the client raises.
    """
    now = utc_now(task.client.clock)
    closed = [day for day in days if is_closed(day, now)]
    following = [day for day in days if day not in closed]
    if following:
        yield _follow(task, following)
    if closed:
        yield from _closed(task, closed)


def _closed(task: LoadTask, days: Sequence[date]) -> Iterator[Loaded]:
    """By the plan; where Marketo's quota turns out smaller than it said, the rest is planned anew without it."""
    bulk_is_over: QuotaExhaustedError | None = None
    left = list(days)
    while left:
        planned = _plan(task, left, bulk_is_over)
        if not planned.windows:
            raise _not_today(task, planned, bulk_is_over)
        try:
            for loaded in _by_plan(task, planned):
                left = [day for day in left if day not in loaded.days]
                yield loaded
        except QuotaExhaustedError as error:
            if task.route != "auto" or bulk_is_over or error.code != "1029":
                raise
            bulk_is_over = error
        else:
            if planned.left_over:
                raise _not_today(task, planned, bulk_is_over)


def _plan(task: LoadTask, days: Sequence[date], bulk_is_over: QuotaExhaustedError | None) -> Plan:
    begun = [] if task.route == "rest" or bulk_is_over else windows_begun(task.exports, days)
    others = [day for day in days if not any(day in window.days for window in begun)]
    planned = _plan_afresh(task, others, bulk_is_over) if others else Plan(())
    first = tuple(PlannedWindow(window, "bulk", _BEGUN) for window in begun)
    return replace(planned, windows=first + planned.windows)


def _plan_afresh(task: LoadTask, days: Sequence[date], bulk_is_over: QuotaExhaustedError | None) -> Plan:
    if task.route != "auto":
        return Plan(tuple(PlannedWindow(window, task.route, _FIXED) for window in windows(days)))
    used = BYTES_PER_DAY if bulk_is_over else bytes_exported_today(task.client)
    quotas = Quotas(max(0, BYTES_PER_DAY - used), task.client.calls_left_today())
    groups = len(type_groups(task.type_ids))
    return plan(days, task.store.history(), quotas, groups=groups, late_days=task.lookback.days)


def _not_today(task: LoadTask, planned: Plan, cause: QuotaExhaustedError | None) -> QuotaExhaustedError:
    message = f"{len(planned.left_over)} days are left for tomorrow, from {planned.left_over[0]} on: {planned.reason}"
    resume_at = cause.resume_at if cause else next_quota_reset(task.client.clock.now())
    return QuotaExhaustedError("budget", message, "/bulk/v1/activities/export", "", resume_at)


def _by_plan(task: LoadTask, planned: Plan) -> Iterator[Loaded]:
    stopped: QuotaExhaustedError | None = None
    try:
        yield from _by_bulk(task, {each.window: each.reason for each in planned.windows if each.route == "bulk"})
    except QuotaExhaustedError as error:
        stopped = error  # of bulk extract alone: what was planned by REST is none of its business
    for each in planned.windows:
        if each.route == "rest":
            yield from _read_window(task, each.window, each.reason)
    if stopped:
        raise stopped


def _by_bulk(task: LoadTask, reasons: Mapping[Window, str]) -> Iterator[Loaded]:
    counts = {window: DayCounts() for window in reasons}

    def take(file: ExportedFile) -> Loaded:
        return _store_file(task, file, reasons[file.window], counts[file.window])

    yield from windows_taken(task.exports, reasons, take, ActivityFileError)


def _store_file(task: LoadTask, file: ExportedFile, reason: str, counts: DayCounts) -> Loaded:
    """A bulk file's rows; the job is done with when the last of them are stored."""
    with task.exclusive():
        for rows in read_activities(file.path, rows=file.job.record_count):
            with task.store.added(rows) as added:
                counts.add(added)
        with task.store.transaction():
            late = task.store.record_loads(file.window.days, counts, "bulk", is_complete=True)
            held = task.store.rows_held(file.window.days)
            task.jobs.loaded(file.job)
    file.path.unlink()
    return Loaded(file.window.days, "bulk", reason, counts, late, held, file.job.file_size or 0)


def _read_window(task: LoadTask, window: Window, reason: str) -> Iterator[Loaded]:
    """Days by REST, and the days after them that may hold late arrivals: the stream is by commit, not by date."""
    counts, read = DayCounts(), set[date]()
    stopped: MarketoError | None = None
    try:
        for day in read_beyond(task, window):
            with task.exclusive():
                for rows in day.tables():
                    with task.store.added(rows) as added:
                        counts.add(added)
            day.remove()
            read.add(day.day)
    except MarketoError as error:
        stopped = error
    last = _last_read(task, window)
    done = [day for day in window.days if min(day + task.lookback, last) in read]
    if done:
        with task.store.transaction():
            late = task.store.record_loads(done, counts, "rest", is_complete=True)
            held = task.store.rows_held(done)
        yield Loaded(done, "rest", reason, counts, late, held)
    if stopped:
        raise stopped


def read_beyond(task: LoadTask, window: Window) -> Iterator[DayRows]:
    """The stream of the window's days by REST, and of the days after it that may hold late arrivals."""
    beyond = Window(window.first, _last_read(task, window))
    return days_read(task.client, beyond, type_groups(task.type_ids), task.folder, calls=task.calls)


def _last_read(task: LoadTask, window: Window) -> date:
    return max(window.last, min(window.last + task.lookback, utc_now(task.client.clock).date()))


def _follow(task: LoadTask, days: Sequence[date]) -> Loaded:
    """The open day, from the watermark of its stream on."""
    counts = DayCounts()
    # A second poll waits, and goes on from the first one's watermark: both would read the same pages.
    with process_lock(task.folder, "tail", task.client.clock):
        for group in type_groups(task.type_ids):
            counts.add(read_tail(task.client, task.store, group, days[0], task.exclusive))
    with task.store.transaction():
        others = [day for day in sorted(counts.read) if day not in days]
        late = task.store.record_loads([*others, *days], counts, "rest", is_complete=False)
        held = task.store.rows_held(days)
    return Loaded(days, "rest", "the day is not over: followed from its watermark", counts, late, held)
