"""Guards against a job read wrong, one of the three meanings of 1029 taken for another, a quota counted wrong."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
import requests

from marketo_assets.marketo.bulk_extract import (
    ExportJob,
    activity_export_body,
    bytes_exported_today,
    cancel_export,
    create_export,
    enqueue_export,
    export_status,
    exports,
)
from marketo_assets.marketo.errors import QueueFullError, QuotaExhaustedError, ReplyError, RequestError
from marketo_assets_tests.marketo.conftest import NewClient
from marketo_assets_tests.marketo.scripted import Reply, ScriptedTransport, error, ok

USAGE = ok([{"date": "2026-03-04", "total": 1}])
ID = "ce45a7a1-f19d-4ce2-882c-a3c795940a7d"
SHA256 = "c16514c7e80fcac5ea055dacae9617fc3c29aff5365e3743071313ce0ed2a815"
START = datetime(2026, 2, 1, tzinfo=UTC)
QUEUE_FULL = error("1029", "Too many jobs in queue")
QUOTA_USED = error("1029", "Export daily quota 500MB exceeded")
LOST = requests.ConnectionError("reset")


def job(status: str, export_id: str = ID, **keys: object) -> dict[str, Any]:
    return {"exportId": export_id, "status": status, "createdAt": "2026-03-04T05:47:30Z", "format": "CSV", **keys}


def paths(transport: ScriptedTransport) -> list[tuple[str | None, str]]:
    return [(request.method, urlsplit(request.url or "").path) for request in transport.requests[1:]]


def test_a_window_becomes_the_body_that_marketo_documents() -> None:
    assert activity_export_body(START, START + timedelta(days=1), (1, 100_001)) == {
        "format": "CSV",
        "filter": {
            "createdAt": {"startAt": "2026-02-01T00:00:00Z", "endAt": "2026-02-02T00:00:00Z"},
            "activityTypeIds": [1, 100_001],
        },
    }


@pytest.mark.parametrize(
    ("start", "end", "types"),
    [
        (START, START, [1]),
        (START, START - timedelta(days=1), [1]),
        (START, START + timedelta(days=31, seconds=1), [1]),
        (START, START + timedelta(hours=1), []),
        (START, START + timedelta(microseconds=1), [1]),
        (START.replace(tzinfo=None), START, [1]),
    ],
)
def test_a_window_that_marketo_would_refuse_is_refused_here(start: datetime, end: datetime, types: list[int]) -> None:
    with pytest.raises(ValueError, match=r"export|time zone"):
        activity_export_body(start, end, types)


def test_a_window_of_31_days_is_allowed() -> None:
    assert activity_export_body(START, START + timedelta(days=31), [1])


def test_a_job_is_ordered_and_read(new_client: NewClient) -> None:
    transport = ScriptedTransport(USAGE, ok([job("Created")]))
    body = activity_export_body(START, START + timedelta(days=1), [1])
    made = create_export(new_client(transport), "activities", body)
    created_at = datetime(2026, 3, 4, 5, 47, 30, tzinfo=UTC)
    assert made == ExportJob(ID, "Created", created_at, None, None, None, None, None, None, None)
    assert paths(transport) == [("POST", "/bulk/v1/activities/export/create.json")]
    assert orjson.loads(transport.requests[-1].body or b"") == body


def test_a_finished_job_is_read_with_all_its_keys(new_client: NewClient) -> None:
    done = job(
        "Completed",
        queuedAt="2026-03-04T05:48:30-08:00",
        startedAt="2026-03-04T05:51:30+0000",
        finishedAt="2026-03-04T06:59:30.250Z",
        numberOfRecords=122_323,
        fileSize=123_424,
        fileChecksum=f"sha256:{SHA256.upper()}",
    )
    read = export_status(new_client(ScriptedTransport(USAGE, ok([done]))), "leads", ID)
    assert (read.record_count, read.file_size, read.sha256) == (122_323, 123_424, SHA256)
    assert read.queued_at == datetime(2026, 3, 4, 13, 48, 30, tzinfo=UTC)
    assert read.started_at == datetime(2026, 3, 4, 5, 51, 30, tzinfo=UTC)
    assert read.finished_at == datetime(2026, 3, 4, 6, 59, 30, 250_000, tzinfo=UTC)


@pytest.mark.parametrize("spelling", ["Canceled", "Cancelled", "cancelled"])
def test_both_spellings_of_a_cancelled_job_are_one(new_client: NewClient, spelling: str) -> None:
    assert export_status(new_client(ScriptedTransport(USAGE, ok([job(spelling)]))), "leads", ID).status == "Cancelled"


def test_why_a_job_failed_is_told_without_values(new_client: NewClient) -> None:
    failed = job("Failed", errorMsg="Invalid value 'jane@example.test' in row 5")
    assert (
        export_status(new_client(ScriptedTransport(USAGE, ok([failed]))), "leads", ID).error
        == "Invalid value '…' in row 5"
    )


@pytest.mark.parametrize(
    "result",
    [
        [],
        [job("Created"), job("Created")],
        [{"status": "Created"}],
        [{"exportId": ID}],
        [job("Sleeping")],
        [job("Created", createdAt="yesterday")],
        [job("Created", createdAt="2026-03-04T05:47:30")],
        [job("Completed", fileChecksum="sha256:abc")],
        [job("Completed", fileChecksum="md5:900150983cd24fb0d6963f7d28e17f72")],
        [job("Completed", fileSize="large")],
        ["job"],
    ],
)
def test_a_job_that_cannot_be_read_is_not_believed(new_client: NewClient, result: list[object]) -> None:
    with pytest.raises(ReplyError):
        export_status(new_client(ScriptedTransport(USAGE, ok(result))), "activities", ID)


def test_an_unknown_status_is_named(new_client: NewClient) -> None:
    with pytest.raises(ReplyError, match="unknown status Sleeping"):
        export_status(new_client(ScriptedTransport(USAGE, ok([job("Sleeping")]))), "activities", ID)


def test_a_job_is_enqueued_by_one_call(new_client: NewClient) -> None:
    transport = ScriptedTransport(USAGE, ok([job("Queued")]))
    enqueue_export(new_client(transport), "program_members", ID)
    assert paths(transport) == [("POST", f"/bulk/v1/program/members/export/{ID}/enqueue.json")]


@pytest.mark.parametrize("answer", [error("1029", "Job already queued"), ok([job("Queued")])])
def test_a_lost_reply_to_an_enqueue_does_no_harm(new_client: NewClient, answer: Reply) -> None:
    transport = ScriptedTransport(USAGE, LOST, answer)
    enqueue_export(new_client(transport), "activities", ID)
    assert len(paths(transport)) == 2


@pytest.mark.parametrize("answer", [QUEUE_FULL, QUOTA_USED, error("1003", "Job is not in status Created")])
@pytest.mark.parametrize("status", ["Queued", "Processing", "Completed"])
def test_a_job_that_has_started_is_enqueued_whatever_marketo_says(
    new_client: NewClient, answer: Reply, status: str
) -> None:
    enqueue_export(new_client(ScriptedTransport(USAGE, answer, ok([job(status)]))), "activities", ID)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (QUEUE_FULL, QueueFullError),
        (QUOTA_USED, QuotaExhaustedError),
        (error("1029", "Export daily quota exceeded"), QuotaExhaustedError),
        (error("610", "Requested resource not found"), RequestError),
    ],
)
def test_a_job_that_did_not_get_into_the_queue_says_why(
    new_client: NewClient, answer: Reply, kind: type[Exception]
) -> None:
    transport = ScriptedTransport(USAGE, answer, ok([job("Created")]))
    with pytest.raises(kind):
        enqueue_export(new_client(transport), "activities", ID)
    assert len(paths(transport)) == 2


def test_a_used_up_export_quota_stops_exports_alone(new_client: NewClient) -> None:
    client = new_client(ScriptedTransport(USAGE, QUOTA_USED, ok([job("Created")])))
    with pytest.raises(QuotaExhaustedError) as caught:
        create_export(client, "activities", {})
    assert caught.value.resume_at == datetime(2026, 3, 5, 6, tzinfo=UTC)
    assert client.calls_left_today() > 39_000
    assert create_export(client, "activities", {}).status == "Created"


def test_a_job_is_cancelled(new_client: NewClient) -> None:
    transport = ScriptedTransport(USAGE, ok([job("Cancelled")]))
    cancel_export(new_client(transport), "leads", ID)
    assert paths(transport) == [("POST", f"/bulk/v1/leads/export/{ID}/cancel.json")]


@pytest.mark.parametrize("status", ["Completed", "Failed", "Canceled"])
def test_cancelling_a_job_that_has_ended_is_no_error(new_client: NewClient, status: str) -> None:
    cancel_export(new_client(ScriptedTransport(USAGE, error("1003", "no"), ok([job(status)]))), "leads", ID)


def test_a_cancellation_that_is_refused_is_raised(new_client: NewClient) -> None:
    with pytest.raises(RequestError) as caught:
        cancel_export(
            new_client(ScriptedTransport(USAGE, error("603", "Access denied"), ok([job("Queued")]))), "leads", ID
        )
    assert caught.value.code == "603"


def listed(*jobs: dict[str, Any], **keys: object) -> Reply:
    return ok(jobs, **keys)


def test_the_list_of_jobs_is_read_to_its_end(new_client: NewClient) -> None:
    transport = ScriptedTransport(
        USAGE,
        listed(job("Completed", "a"), job("Created", "b"), nextPageToken="P1="),
        listed(job("Canceled", "c"), job("Completed", "d"), nextPageToken="P2"),
        listed(job("Completed", "e")),
    )
    client = new_client(transport)
    assert [each.export_id for each in exports(client, "leads", ["Completed", "Cancelled"])] == ["a", "c", "d", "e"]
    assert [urlsplit(request.url or "").query for request in transport.requests[1:]] == [
        "",
        "nextPageToken=P1%3D",
        "nextPageToken=P2",
    ]
    assert [each.export_id for each in exports(new_client(ScriptedTransport(listed(job("Failed")))), "leads")] == [ID]


@pytest.mark.parametrize(
    "last",
    [
        Reply({"requestId": "a1#b2", "success": True}),
        Reply({"requestId": "a1#b2", "success": True, "nextPageToken": "P1"}),
        ok([], nextPageToken="P2", moreResult=False),
    ],
)
def test_an_empty_list_of_jobs_ends_it(new_client: NewClient, last: Reply) -> None:
    transport = ScriptedTransport(USAGE, listed(job("Completed"), nextPageToken="P1"), last)
    assert len(list(exports(new_client(transport), "leads"))) == 1
    assert len(transport.requests) == 3


def test_an_empty_page_with_more_to_come_does_not_end_the_list(new_client: NewClient) -> None:
    transport = ScriptedTransport(USAGE, ok([], nextPageToken="P1", moreResult=True), listed(job("Completed")))
    assert len(list(exports(new_client(transport), "leads"))) == 1


def test_the_same_page_of_jobs_is_not_read_for_ever(new_client: NewClient) -> None:
    transport = ScriptedTransport(USAGE, listed(job("Completed"), nextPageToken="P1"))
    with pytest.raises(ReplyError, match="same page"):
        list(exports(new_client(transport), "leads"))


def test_todays_bytes_are_those_of_jobs_that_ended_on_this_day_in_chicago(new_client: NewClient) -> None:
    def done(size: int, finished: str, status: str = "Completed") -> dict[str, Any]:
        return job(status, finishedAt=finished, fileSize=size)

    transport = ScriptedTransport(
        USAGE,
        listed(
            done(1, "2026-03-04T05:59:59Z"),  # a second before midnight in Chicago
            done(10, "2026-03-04T06:00:00Z"),
            done(100, "2026-03-03T23:30:00-08:00"),  # half past one in Chicago, on the 4th
            job("Processing"),
            job("Completed"),
        ),
        listed(done(1_000, "2026-03-04T17:00:00Z"), done(10_000, "2026-03-04T17:00:00Z", "Failed")),
        Reply({"requestId": "a1#b2", "success": True}),
    )
    client = new_client(transport)
    assert bytes_exported_today(client) == 1_110
    assert paths(transport) == [
        ("GET", "/bulk/v1/activities/export.json"),
        ("GET", "/bulk/v1/leads/export.json"),
        ("GET", "/bulk/v1/program/members/export.json"),
    ]
