"""Bulk Extract by windows of time: one job for each, found again after a kill, two under way at once.

What a job answers and how its file is fetched belongs to `marketo.bulk_extract`; what the rows become, to whoever takes
the files: `load` the activities, the sync the leads.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from marketo_assets.extract.export_jobs import ExportJobs
from marketo_assets.extract.windows import Window
from marketo_assets.marketo.bulk_extract import (
    ExportJob,
    ExportKind,
    activity_export_body,
    cancel_export,
    create_export,
    download_export,
    enqueue_export,
    export_status,
)
from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.errors import (
    ExportFileError,
    MarketoError,
    QueueFullError,
    RequestError,
    TransientError,
)
from marketo_assets.marketo.limits import process_lock

Result = TypeVar("Result")

MAX_RUNNING: Final = 2
"""Jobs that Marketo works on at once (fact: Bulk Extract, "Concurrency / queue")."""

EXPORT_SECONDS: Final = 6 * 3_600
"""How long a job may take from its start to its end, waiting for a place in the queue included."""

KEPT_SECONDS: Final = 24 * 3_600
"""How old a job that an earlier run left behind may be. A file has missed too much since; a job that has not ended by
then never will."""

ATTEMPTS: Final = 3
"""Jobs for one window in one run, where Marketo fails or cancels them or their file is not what it should be."""


class ExportStuckError(TransientError):
    """A job did not end in time; it is kept, and the next run looks for it first."""


@dataclass(frozen=True)
class Order:
    """What jobs export, whatever their window."""

    kind: ExportKind
    name: str
    """By which the record of jobs knows them: one name, one content."""
    body: Callable[[Window], Mapping[str, Any]]
    kept_seconds: float = KEPT_SECONDS
    """How old a finished job that an earlier run left behind may be."""


def activities_of(type_ids: Sequence[int]) -> Order:
    """All activities of these types."""
    return Order(
        "activities",
        ",".join(map(str, sorted(type_ids))),
        lambda window: activity_export_body(window.start, window.end, type_ids),
    )


@dataclass(frozen=True)
class Exports:
    """The parts that a window's way leads through."""

    client: MarketoClient
    jobs: ExportJobs
    order: Order
    folder: Path
    poll_seconds: float
    """Seconds between two looks at a job: Marketo itself looks once a minute."""


@dataclass(frozen=True)
class ExportedFile:
    """A window's file on the local disk, as Marketo made it."""

    window: Window
    job: ExportJob
    path: Path


def windows_begun(exports: Exports, days: Collection[date]) -> list[Window]:
    """Windows within these days for which an earlier run left a job that can be used, none of them overlapping."""
    found: list[Window] = []
    for export_id, window in exports.jobs.begun(days, exports.order.name):
        if any(window.first <= other.last and other.first <= window.last for other in found):
            continue
        if unusable := _why_unusable(exports, export_id):
            abandon(exports, export_id, unusable)
        else:
            found.append(window)
    return sorted(found)


def windows_exported(exports: Exports, windows: Iterable[Window]) -> Iterator[ExportedFile]:
    """The file of each window, oldest first; while one is being loaded the next is being made.

    One run at a time: another one with the same days would take the jobs of this one for left behind.
    Raises what the client raises and ExportStuckError, after the files of the jobs begun before have been given out.
    """
    if windows := list(windows):
        with process_lock(exports.folder, f"{exports.order.kind}-exports", exports.client.clock):
            yield from _windows_exported(exports, windows)


def windows_taken(
    exports: Exports, windows: Iterable[Window], take: Callable[[ExportedFile], Result], unreadable: type[Exception]
) -> Iterator[Result]:
    """What `take` makes of each window's file.

    For a file that it cannot read (`unreadable`), though it is what Marketo made, another is made once. Raises what
    `windows_exported` and `take` raise.
    """
    unread: dict[Window, Exception] = {}
    for waiting in (list(windows), unread):
        for file in windows_exported(exports, list(waiting)):
            try:
                yield take(file)
            except unreadable as error:
                abandon(exports, file.job.export_id, str(error))
                if file.window in unread:
                    raise
                unread[file.window] = error


def _windows_exported(exports: Exports, windows: Iterable[Window]) -> Iterator[ExportedFile]:
    waiting, under_way = deque(windows), deque[tuple[Window, str]]()
    stopped: MarketoError | None = None
    while waiting or under_way:
        while waiting and not stopped and len(under_way) < MAX_RUNNING:
            try:
                under_way.append((waiting[0], _begin(exports, waiting[0])))
            except MarketoError as error:
                stopped = error
            else:
                waiting.popleft()
        if not under_way:
            break
        try:
            file = _finish(exports, *under_way.popleft())
        except MarketoError as error:
            # Jobs that Marketo has accepted are finished all the same.
            stopped = stopped or error
        else:
            yield file
    if stopped:
        raise stopped


def _begin(exports: Exports, window: Window) -> str:
    """Take up the window's job that an earlier run left, or make one; it is in Marketo's queue then."""
    client, jobs, order = exports.client, exports.jobs, exports.order
    found = jobs.find(window, order.name)
    if found is not None and (unusable := _why_unusable(exports, found)):
        abandon(exports, found, unusable)
        found = None
    if found is None:
        body = order.body(window)
        export_id = _with_patience(exports, lambda: create_export(client, order.kind, body)).export_id
        # Noted before it is enqueued: from then on it costs quota, and a killed run must find it.
        jobs.note(export_id, window, order.name)
    else:
        export_id = found
    # A job that was enqueued before takes no harm: Marketo says so, and the client knows the answer.
    _with_patience(exports, lambda: enqueue_export(client, order.kind, export_id))
    return export_id


def _with_patience(exports: Exports, call: Callable[[], Result]) -> Result:
    """Wait for a place in Marketo's queue, which others fill too."""
    clock = exports.client.clock
    deadline = clock.now() + EXPORT_SECONDS
    while True:
        try:
            return call()
        except QueueFullError:
            if clock.now() > deadline:
                raise
        exports.client.wait(exports.poll_seconds)


def _why_unusable(exports: Exports, export_id: str) -> str | None:
    """Why a job found in the ledger cannot be used; None if it can."""
    client, kind = exports.client, exports.order.kind
    try:
        job = export_status(client, kind, export_id)
    except RequestError as error:
        return f"Marketo no longer knows it ({error.code})"
    if job.status in {"Failed", "Cancelled"}:
        return job.status
    since = job.finished_at or job.created_at
    age = client.clock.now() - since.timestamp() if since else 0.0
    if age <= (exports.order.kept_seconds if job.status == "Completed" else KEPT_SECONDS):
        return None
    if job.status != "Completed":
        # It would keep its place in the queue.
        cancel_export(client, kind, export_id)
    return f"{job.status} for {timedelta(seconds=int(age))}"


def abandon(exports: Exports, export_id: str, reason: str) -> None:
    """A job's file is of no use (any more)."""
    exports.jobs.abandon(export_id, reason)
    _path(exports, export_id).unlink(missing_ok=True)


def _path(exports: Exports, export_id: str) -> Path:
    return exports.folder / f"{export_id}.csv"


def _finish(exports: Exports, window: Window, export_id: str) -> ExportedFile:
    """Wait for a job and fetch its file; one that fails is replaced by another."""
    for attempt in range(1, ATTEMPTS + 1):
        job = _ended(exports, export_id)
        path = _path(exports, export_id)
        try:
            if job.status == "Completed":
                download_export(exports.client, exports.order.kind, job, path)
                return ExportedFile(window, job, path)
            reason = f"{job.status}: {job.error}" if job.error else job.status
        except ExportFileError as error:
            reason = str(error)
            if attempt == ATTEMPTS:
                abandon(exports, export_id, reason)
                raise
        abandon(exports, export_id, reason)
        if attempt < ATTEMPTS:
            export_id = _begin(exports, window)
    message = f"{ATTEMPTS} export jobs for {window.first} to {window.last} ended without a file, the last: {reason}"
    raise TransientError("export", message, _endpoint(exports))


def _ended(exports: Exports, export_id: str) -> ExportJob:
    client = exports.client
    deadline = client.clock.now() + EXPORT_SECONDS
    while True:
        job = export_status(client, exports.order.kind, export_id)
        if job.status in {"Completed", "Failed", "Cancelled"}:
            return job
        if client.clock.now() > deadline:
            message = f"export job {export_id} is {job.status} after {EXPORT_SECONDS // 3_600} hours; it is kept"
            raise ExportStuckError("export", message, f"{_endpoint(exports)}/{{id}}/status.json")
        client.wait(exports.poll_seconds)


def _endpoint(exports: Exports) -> str:
    return f"/bulk/v1/{exports.order.kind}/export"
