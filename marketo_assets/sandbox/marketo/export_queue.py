"""The queue of bulk extract: when a job starts and ends, its file, the day's quota, and how long all of it is kept.

Nothing here runs by itself. What has become of the jobs follows from the clock when somebody looks (`advance`), and
each look writes a bounded number of rows, so that no call waits for a large file. Paths and bodies of calls belong to
exports.py.
"""

import math
import shutil
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from marketo_assets.sandbox.marketo.export_files import ExportFile
from marketo_assets.sandbox.marketo.export_store import ExportJob
from marketo_assets.sandbox.marketo.faults import Fault
from marketo_assets.sandbox.marketo.instance import Instance
from marketo_assets.sandbox.marketo.usage import QUOTA_ZONE
from marketo_assets.sandbox.marketo.wire import ApiError, stamp

MAX_RUNNING = 2
MAX_IN_QUEUE = 10
"""Running jobs included; both are shared by all kinds of jobs."""
_DAY = 86_400
FILE_DAYS, JOB_DAYS = 7, 30
"""How long a file, and the status of a job, can be asked for after the job's end."""
ROWS_PER_LOOK = 500_000
"""Rows each running job writes while one call waits: some three seconds' worth."""
_MEGABYTE = 1_000_000
_FAILURE = "Export job failed: system error"


class ExportQueue:
    """The export jobs of one instance. Not thread-safe: the emulator asks under its lock, inside a transaction."""

    def __init__(self, instance: Instance) -> None:
        """Files lie in a folder beside the state file; of a private state, in a private folder."""
        self._instance = instance
        self._store = instance.store
        self._options = instance.options
        self._writing: dict[str, ExportFile] = {}
        state = instance.options.state
        self._folder = None if state is None else state.with_name(f"{state.stem}.exports")

    def close(self) -> None:
        """Stop writing. What was not complete is written anew after a restart; a private folder is gone."""
        for file in self._writing.values():
            file.close()
        self._writing.clear()
        if self._options.state is None and self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def advance(self) -> None:
        """Let everything happen that is due by now."""
        now = self._instance.clock.now()
        for export_id in self._store.drop_export_files(now - FILE_DAYS * _DAY):
            self._path(export_id).unlink(missing_ok=True)
        self._store.drop_exports(now - JOB_DAYS * _DAY)
        for job in self._store.open_exports():
            self._work(job, now)
        for job in self._store.waiting_exports():
            start = self._free_from(job.queued or 0.0)
            if start > now:
                break
            job.started = start
            self._store.save_export(job)
            self._work(job, now)

    def enqueue(self, job: ExportJob, fault: Fault | None) -> None:
        """Put a job into the queue; 1029 for one that is in it or past it, a day's quota used up, or a full queue."""
        now = self._instance.clock.now()
        if job.queued is not None or job.ended is not None:
            raise ApiError("1029", "Job already queued")
        self.check_quota()
        if self._store.busy_export_count(now) >= MAX_IN_QUEUE:
            raise ApiError("1029", "Too many jobs in queue")
        job.queued = now
        if fault is not None:
            job.fault = fault.kind
            job.queued += fault.seconds if fault.kind == "job_lingers" else 0.0
        self._store.save_export(job)
        self.advance()

    def cancel(self, job: ExportJob) -> None:
        """End a job; one whose status says that it has ended is refused (a choice)."""
        now, shown_at = self._instance.clock.now(), self.shown_at(job)
        if job.ended is not None and job.ended <= shown_at:
            raise ApiError("1003", f"Export job is {self._status(job, shown_at)} and cannot be cancelled")
        job.ended, job.outcome, job.has_file = now, "Cancelled", False
        job.records = job.size = job.checksum = None
        self._store.save_export(job)
        writing = self._writing.pop(job.id, None)
        if writing is not None:
            writing.close()
        self._path(job.id).unlink(missing_ok=True)
        self.advance()

    def check_quota(self) -> None:
        """1029 once the files completed since midnight US Central have reached the day's quota."""
        quota = self._options.export_quota_bytes
        now = self._instance.clock.now()
        midnight = datetime.fromtimestamp(now, QUOTA_ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
        if quota is not None and self._store.exported_bytes(midnight.timestamp(), now) >= quota:
            raise ApiError("1029", f"Export daily quota {quota // _MEGABYTE}MB exceeded")

    def shown_at(self, job: ExportJob) -> float:
        """The time of which status calls tell: the last refresh, without what happened in that very moment."""
        now, refresh = self._instance.clock.now(), self._options.export_refresh_seconds
        if refresh <= 0:
            return now
        last_refresh = job.created + math.floor((now - job.created) / refresh) * refresh
        return math.nextafter(last_refresh, 0.0)

    def show(self, job: ExportJob, at: float) -> dict[str, Any]:
        """The job as calls show it, as of a time: keys come as they are reached."""
        status = self._status(job, at)
        shown: dict[str, Any] = {
            "exportId": job.id,
            "format": "CSV",
            "status": status,
            "createdAt": stamp(int(job.created)),
        }
        for key, time in (("queuedAt", job.queued), ("startedAt", job.started)):
            if time is not None and time <= at:
                shown[key] = stamp(int(time))
        if status in {"Completed", "Failed"} and job.ended is not None:
            shown["finishedAt"] = stamp(int(job.ended))
        if status == "Completed":
            shown |= {
                "numberOfRecords": job.records,
                "fileSize": job.size,
                "fileChecksum": f"sha256:{job.checksum}",
            }
        elif status == "Failed":
            shown["errorMsg"] = _FAILURE
        return shown

    def file(self, job: ExportJob) -> Path | None:
        """The job's file, once its status says Completed and until it has expired."""
        path = self._path(job.id)
        ready = job.has_file and job.ended is not None and job.ended <= self.shown_at(job)
        return path if ready and path.exists() else None

    def _status(self, job: ExportJob, at: float) -> str:
        if job.ended is not None and job.ended <= at and job.outcome is not None:
            return self._options.cancelled_export if job.outcome == "Cancelled" else job.outcome
        if job.started is not None and job.started <= at:
            return "Processing"
        return "Queued" if job.queued is not None and job.queued <= at else "Created"

    def _free_from(self, queued: float) -> float:
        """When a job queued then can start: as soon as only one of those started before it is still running."""
        ends = self._store.export_ends_after(queued)
        if len(ends) < MAX_RUNNING:
            return queued
        end = ends[-MAX_RUNNING]
        return math.inf if end is None else end

    def _work(self, job: ExportJob, now: float) -> None:
        """Get on with a running job, as far as it is due: its end is known when its file is complete."""
        due = (job.started or 0.0) + self._options.export_seconds
        if job.fault == "job_never_ends" or due > now:
            return
        if job.fault == "job_fails":
            job.ended, job.outcome = due, "Failed"
        elif job.fault == "job_cancelled":
            job.ended, job.outcome = due, "Cancelled"
        else:
            file = self._writing.get(job.id) or ExportFile(self._path(job.id), job, self._instance)
            if not file.write(ROWS_PER_LOOK):
                self._writing[job.id] = file
                return
            self._writing.pop(job.id, None)
            job.ended = due + file.size / _MEGABYTE * self._options.export_seconds_per_mb
            job.outcome, job.has_file = "Completed", True
            job.records = file.records + (1 if job.fault == "wrong_count" else 0)
            job.size, job.checksum = file.size, file.checksum
        self._store.save_export(job)

    def _path(self, export_id: str) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="marketo_exports_"))
        return self._folder / f"{export_id}.csv"
