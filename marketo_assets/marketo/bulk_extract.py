"""Bulk extract: export jobs, their queue, their files.

When to order what, and how often to ask after it, belongs to the flows; the inside of a file as well.
"""

import hashlib
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, get_args

import orjson

from marketo_assets.marketo.activities import iso_utc
from marketo_assets.marketo.client import MarketoClient, endpoint_of
from marketo_assets.marketo.download import ExportFile
from marketo_assets.marketo.envelope import Envelope
from marketo_assets.marketo.errors import (
    ExportFileError,
    JobQueuedError,
    QueueFullError,
    QuotaExhaustedError,
    ReplyError,
    RequestError,
    quota_day,
    redact,
)

log = logging.getLogger("marketo_assets.marketo")

ExportKind = Literal["activities", "leads", "program_members"]
ExportStatus = Literal["Created", "Queued", "Processing", "Completed", "Failed", "Cancelled"]

MAX_SPAN: Final = timedelta(days=31)
_STEMS: Final[Mapping[ExportKind, str]] = {
    "activities": "/bulk/v1/activities/export",
    "leads": "/bulk/v1/leads/export",
    "program_members": "/bulk/v1/program/members/export",
}
_STATUSES: Final[tuple[ExportStatus, ...]] = get_args(ExportStatus)
# The list of statuses spells it with one l, the reply of a cancellation with two.
_BY_SPELLING: Final[Mapping[str, ExportStatus]] = {name.lower(): name for name in _STATUSES} | {"canceled": "Cancelled"}
_STARTED: Final = ("Queued", "Processing", "Completed")
_ENDED: Final = ("Completed", "Failed", "Cancelled")


@dataclass(frozen=True, slots=True)
class ExportJob:
    """An export job. Times are aware; what Marketo has not reached yet is None.

    `file_size` is in bytes, `sha256` in lower-case hex, `error` is Marketo's text for a failed job without values.
    """

    export_id: str
    status: ExportStatus
    created_at: datetime | None
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    record_count: int | None
    file_size: int | None
    sha256: str | None
    error: str | None


def activity_export_body(start: datetime, end: datetime, type_ids: Sequence[int]) -> dict[str, Any]:
    """The body of `create_export` for all activities of these types from `start` to `end`, in the default columns.

    Raises ValueError for no types, a naive time or a fraction of a second, and unless start < end <= start + 31 days.
    Whether Marketo takes `end` as part of the window is not documented: look at the dates of what comes.
    """
    if not type_ids:
        raise ValueError("An export of activities needs at least one activity type; without any it would be all.")
    return {"format": "CSV", "filter": {"createdAt": _window(start, end), "activityTypeIds": list(type_ids)}}


def lead_export_body(start: datetime, end: datetime, fields: Sequence[str]) -> dict[str, Any]:
    """The body of `create_export` for all leads created from `start` to `end`, with these fields, by REST name.

    The file's columns are in this order and have these names. Raises ValueError for no fields, and for a window as
    `activity_export_body` does.
    """
    if not fields:
        raise ValueError("An export of leads needs at least one field; it has no default columns.")
    return {"format": "CSV", "fields": list(fields), "filter": {"createdAt": _window(start, end)}}


def _window(start: datetime, end: datetime) -> dict[str, str]:
    if start.microsecond or end.microsecond:
        raise ValueError("The window of an export begins and ends on a whole second.")
    window = {"startAt": iso_utc(start), "endAt": iso_utc(end)}
    if not start < end <= start + MAX_SPAN:
        raise ValueError(f"An export covers up to {MAX_SPAN.days} days, start before end; this is {end - start}.")
    return window


def create_export(client: MarketoClient, kind: ExportKind, body: Mapping[str, Any]) -> ExportJob:
    """Order an export; it waits until it is enqueued. After a lost reply there may be a second one that never is.

    Raises QuotaExhaustedError once the day's export quota is used up.
    """
    return _job_of(client, "POST", f"{_STEMS[kind]}/create.json", orjson.dumps(body))


def enqueue_export(client: MarketoClient, kind: ExportKind, export_id: str) -> None:
    """Put a job into the queue of 10, two of which run; one that is in it already, or was, is no error.

    Raises QueueFullError, and QuotaExhaustedError once the day's export quota is used up.
    """
    try:
        client.request("POST", _path(kind, export_id, "enqueue"))
    except JobQueuedError:
        log.info("%s: the job is in the queue already", _STEMS[kind])
    except (QueueFullError, QuotaExhaustedError, RequestError):
        # What Marketo says of a job that has left the queue, and whether it looks at queue and quota first, is not
        # documented; after a lost reply or a killed run this may be such a job.
        if export_status(client, kind, export_id).status not in _STARTED:
            raise


def export_status(client: MarketoClient, kind: ExportKind, export_id: str) -> ExportJob:
    """How a job stands. Marketo looks once in 60 seconds, so a job just enqueued may still read Created."""
    return _job_of(client, "GET", _path(kind, export_id, "status"))


def cancel_export(client: MarketoClient, kind: ExportKind, export_id: str) -> None:
    """Call a job off; one that has ended already is no error."""
    try:
        client.request("POST", _path(kind, export_id, "cancel"))
    except RequestError:
        if export_status(client, kind, export_id).status not in _ENDED:
            raise


def exports(
    client: MarketoClient, kind: ExportKind, statuses: Collection[ExportStatus] = _STATUSES
) -> Iterator[ExportJob]:
    """The jobs of this API user that were created in the last 7 days and stand in one of `statuses`."""
    # All are read and the others left out here: how the endpoint spells its own filter is documented in two ways.
    path = f"{_STEMS[kind]}.json"
    params: dict[str, str] | None = None
    while True:
        page = client.request("GET", path, params=params)
        for item in page.result:
            job = _job(item, path, page)
            if job.status in statuses:
                yield job
        # The endpoint is not said to send moreResult: without it a page with jobs and a token has another one after it.
        more = bool(page.result) if page.more_result is None else page.more_result
        if not more or page.next_page_token is None:
            return
        if params == (following := {"nextPageToken": page.next_page_token}):
            raise _shape("the same page again", path, page)
        params = following


def bytes_exported_today(client: MarketoClient) -> int:
    """Bytes of today's quota (US Central) that finished jobs have used, by one call for each kind of export.

    Jobs under way, of other API users and of custom objects count towards the quota too and are not seen here.
    """
    today = quota_day(client.clock.now())
    done = (job for kind in _STEMS for job in exports(client, kind, {"Completed"}))
    return sum(
        job.file_size
        for job in done
        if job.file_size is not None and job.finished_at is not None and quota_day(job.finished_at.timestamp()) == today
    )


def download_export(client: MarketoClient, kind: ExportKind, job: ExportJob, path: Path) -> None:
    """Fetch the file of a completed job to `path`, byte for byte; continue where a killed run left it.

    A job that holds nothing and names no size makes an empty file. Raises ExportFileError if after some minutes there
    is no file, or if it is not as long as the job says or has another SHA-256, twice; ValueError for another status.
    """
    if job.status != "Completed":
        raise ValueError(f"Only a completed job has a file; this one is {job.status}.")
    url = _path(kind, job.export_id, "file")
    size = 0 if job.file_size is None and job.record_count == 0 else job.file_size
    if size is None:
        raise ExportFileError("file", "a completed job without a file size", endpoint_of(url))
    with ExportFile(path, size, job.sha256) as file:
        if not file.is_believed:
            client.download(url, file)


def _path(kind: ExportKind, export_id: str, what: str) -> str:
    return f"{_STEMS[kind]}/{export_id}/{what}.json"


def _job_of(client: MarketoClient, method: str, path: str, json_body: bytes | None = None) -> ExportJob:
    envelope = client.request(method, path, json_body=json_body)
    endpoint = endpoint_of(path)
    if len(envelope.result) != 1:
        raise _shape(f"{len(envelope.result)} jobs in place of one", endpoint, envelope)
    return _job(envelope.result[0], endpoint, envelope)


def _job(item: Any, endpoint: str, envelope: Envelope) -> ExportJob:
    try:
        return ExportJob(
            export_id=str(item["exportId"]),
            status=_status(item["status"]),
            created_at=_time(item.get("createdAt")),
            queued_at=_time(item.get("queuedAt")),
            started_at=_time(item.get("startedAt")),
            finished_at=_time(item.get("finishedAt")),
            record_count=_number(item.get("numberOfRecords")),
            file_size=_number(item.get("fileSize")),
            sha256=_sha256(item.get("fileChecksum")),
            error=None if item.get("errorMsg") is None else redact(str(item["errorMsg"])),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _shape(f"a job that cannot be read: {type(error).__name__}: {error}", endpoint, envelope) from None


def _status(text: str) -> ExportStatus:
    status = _BY_SPELLING.get(text.lower())
    if status is None:
        raise ValueError(f"unknown status {text}")
    return status


def _number(value: Any) -> int | None:
    return None if value is None else int(value)


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no offset")
    return moment


def _sha256(text: str | None) -> str | None:
    if text is None:
        return None
    digest = text.lower().removeprefix("sha256:")
    if len(bytes.fromhex(digest)) != hashlib.sha256().digest_size:
        raise ValueError("no SHA-256")
    return digest


def _shape(message: str, endpoint: str, envelope: Envelope) -> ReplyError:
    return ReplyError("shape", message, endpoint, envelope.request_id)
