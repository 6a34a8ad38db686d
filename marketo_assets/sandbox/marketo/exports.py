"""The endpoints of bulk extract: create, enqueue, status, file, cancel and the list of jobs.

When a job starts and ends, and what its file holds, belongs to export_queue.py and export_files.py.
"""

import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from marketo_assets.sandbox.marketo.export_queue import ExportQueue
from marketo_assets.sandbox.marketo.export_requests import read_activity_request, read_lead_request
from marketo_assets.sandbox.marketo.export_store import ExportJob, ExportRequest
from marketo_assets.sandbox.marketo.faults import JOB_FAULTS
from marketo_assets.sandbox.marketo.instance import Instance, page_size
from marketo_assets.sandbox.marketo.paging import make_token, read_token
from marketo_assets.sandbox.marketo.wire import Answer, ApiError, Call, FilePart, Reply

EXPORT_KINDS = ("activities", "leads")
LISTED_KINDS = (*EXPORT_KINDS, "program/members")
"""Path stems of what has jobs here, and of what has at least a list."""
_LIST_SECONDS = 7 * 86_400
_STATUSES = {"created", "queued", "processing", "cancelled", "canceled", "completed", "failed"}
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
_READERS: Mapping[str, Callable[[Instance, Mapping[str, Any]], ExportRequest]] = {
    "activities": read_activity_request,
    "leads": read_lead_request,
}


class Exports:
    """The export endpoints of one instance; `kind` is the path stem of the call."""

    def __init__(self, instance: Instance) -> None:
        """Of this instance; `close` it in the end."""
        self._instance = instance
        self._queue = ExportQueue(instance)

    def close(self) -> None:
        """Stop writing files."""
        self._queue.close()

    def create(self, kind: str, call: Call) -> Answer:
        """POST export/create.json: a job that waits to be enqueued."""
        self._queue.advance()
        request = _READERS[kind](self._instance, call.json())
        self._queue.check_quota()
        job = ExportJob(str(uuid.uuid4()), kind, request, self._instance.clock.now())
        self._instance.store.add_export(job)
        return Answer([self._queue.show(job, job.created)])

    def enqueue(self, kind: str, call: Call) -> Answer:
        """POST export/{id}/enqueue.json."""
        job = self._job(kind, call)
        fault = call.fault if call.fault is not None and call.fault.kind in JOB_FAULTS else None
        self._queue.enqueue(job, fault)
        return Answer([self._queue.show(job, job.queued or 0.0)])

    def status(self, kind: str, call: Call) -> Answer:
        """GET export/{id}/status.json: as of the last refresh."""
        job = self._job(kind, call)
        return Answer([self._queue.show(job, self._queue.shown_at(job))])

    def cancel(self, kind: str, call: Call) -> Answer:
        """POST export/{id}/cancel.json."""
        job = self._job(kind, call)
        self._queue.cancel(job)
        return Answer([self._queue.show(job, self._instance.clock.now())])

    def find(self, kind: str, call: Call) -> Answer:
        """GET export.json: jobs created within 7 days, oldest first, all or those with a status; in pages."""
        self._queue.advance()
        wanted = {text.lower() for text in call.listed("status")}
        if not wanted <= _STATUSES:
            raise ApiError("1003", "Invalid value specified for attribute 'status'")
        wanted |= {"cancelled", "canceled"} if wanted & {"cancelled", "canceled"} else set()
        question, size = f"exports={kind},{sorted(wanted)}", page_size(call)
        after = read_token(call, question)
        found = []
        for job in self._instance.store.exports_since(kind, self._instance.clock.now() - _LIST_SECONDS):
            shown = self._queue.show(job, self._queue.shown_at(job))
            if job.number > after and (not wanted or shown["status"].lower() in wanted):
                found.append((job.number, shown))
        page = [shown for _, shown in found[:size]]
        token = make_token(question, found[size - 1][0]) if len(found) > size else None
        return Answer(page or None, token)

    def file(self, kind: str, call: Call) -> Reply:
        """GET export/{id}/file.json: the file or a range of its bytes; HTTP 404 where there is none."""
        self._queue.advance()
        job = self._instance.store.export(kind, call.path_values["export_id"])
        path = None if job is None else self._queue.file(job)
        fault = call.fault.kind if call.fault is not None else None
        if job is None or path is None or job.size is None or fault == "file_missing":
            return Reply(404, {"Content-Type": "text/plain"}, b"File not found")
        headers = {"Content-Type": "text/csv;charset=UTF-8", "Accept-Ranges": "bytes"}
        asked = read_range(call.request.headers.get("range", ""), job.size)
        start, end = asked or (0, job.size)
        if start >= end and asked is not None:
            headers = {"Content-Type": "text/plain", "Content-Range": f"bytes */{job.size}"}
            return Reply(416, headers, b"Requested range not satisfiable")
        if asked is not None:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{job.size}"
        cut = call.fault.after_bytes if call.fault is not None and fault == "cut_file" else None
        part = FilePart(path, start, end - start, cut, is_wrong=fault == "wrong_file")
        return Reply(200 if asked is None else 206, headers, b"", file=part)

    def _job(self, kind: str, call: Call) -> ExportJob:
        self._queue.advance()
        job = self._instance.store.export(kind, call.path_values["export_id"])
        if job is None:
            raise ApiError("1013", "Export job not found")
        return job


def read_range(header: str, size: int) -> tuple[int, int] | None:
    """The first byte asked for and the one after the last, clipped to the file; None for no range that is understood.

    An empty range cannot be satisfied. Several ranges at once are not understood: HTTP lets a server ignore that.
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        return max(0, size - int(match[2])), size
    start, end = int(match[1]), int(match[2]) + 1 if match[2] else size
    if match[2] and end <= start:
        return None
    return start, min(end, size)
