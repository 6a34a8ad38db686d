"""Guards against what only a whole job or a whole stream shows: activities lost or doubled on either route."""

import csv
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from marketo_assets.marketo.activities import activity_pages, activity_types, deleted_lead_pages, paging_token
from marketo_assets.marketo.bulk_extract import (
    ExportJob,
    activity_export_body,
    bytes_exported_today,
    cancel_export,
    create_export,
    download_export,
    enqueue_export,
    export_status,
    exports,
)
from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.clock import VirtualClock
from marketo_assets.marketo.errors import PagingTokenError, QueueFullError, QuotaExhaustedError
from marketo_assets.marketo.limits import ApiBudget, ApiLimits
from marketo_assets.sandbox.marketo import Emulator, EmulatorOptions, Fault, LocalServer
from marketo_assets_tests.marketo.conftest import NOON, NewEmulator, NewUser

START = datetime(2026, 2, 22, tzinfo=UTC)
END = datetime(2026, 3, 5, tzinfo=UTC)
DELETE_LEAD = 37
ACTIVITIES = "GET /rest/v1/activities.json"
ENQUEUE = "POST /bulk/v1/activities/export/*/enqueue.json"
FILE = "GET /bulk/v1/activities/export/*/file.json"


def fill(emulator: Emulator, activities: int) -> set[str]:
    """Ten days of activities up to now; their guids."""
    emulator.fill(200)
    emulator.fill_activities(activities, days=10)
    return {activity["marketoGUID"] for activity in emulator.activities() if activity["activityTypeId"] != DELETE_LEAD}


def type_ids(client: MarketoClient) -> list[int]:
    return [each.id for each in activity_types(client) if each.id != DELETE_LEAD]


def streamed(client: MarketoClient) -> Iterator[str]:
    """The guids of every type's activities since START, in groups of ten types."""
    ids = type_ids(client)
    for first in range(0, len(ids), 10):
        for page in activity_pages(client, paging_token(client, START), ids[first : first + 10]):
            yield from (activity["marketoGUID"] for activity in page.activities)


def ordered(client: MarketoClient) -> str:
    """The id of a job for every type's activities from START to END, in the queue."""
    body = activity_export_body(START, END, type_ids(client))
    export_id = create_export(client, "activities", body).export_id
    enqueue_export(client, "activities", export_id)
    return export_id


def waited_for(client: MarketoClient, export_id: str) -> ExportJob:
    while True:
        job = export_status(client, "activities", export_id)
        if job.status in {"Completed", "Failed", "Cancelled"}:
            return job
        client.wait(60)


def guids_of(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8") as file:
        return [row["marketoGUID"] for row in csv.DictReader(line.replace("\0", "") for line in file)]


def test_a_stream_through_every_fault_loses_and_doubles_nothing(new_user: NewUser, new_emulator: NewEmulator) -> None:
    emulator = new_emulator(
        token_seconds=40,
        faults=[
            Fault(ACTIVITIES, "error", code="606", every=11),
            Fault(ACTIVITIES, "error", code="604", every=17),
            Fault(ACTIVITIES, "truncated_json", every=7),
            Fault(ACTIVITIES, "http_502", every=13),
            Fault(ACTIVITIES, "reset_after_write", every=9),
            Fault(ACTIVITIES, "slow", seconds=50, every=10),
            Fault(ACTIVITIES, "expired_token", every=8),
        ],
    )
    there = fill(emulator, 12_000)
    client = new_user(emulator)
    came = list(streamed(client))
    assert len(came) == len(there)
    assert set(came) == there
    assert set(client.stats.errors_by_code) >= {"602", "606", "604", "reply", "502", "connection", "timeout"}


def test_a_job_through_every_fault_brings_the_same_activities(
    new_user: NewUser, new_emulator: NewEmulator, clock: VirtualClock, tmp_path: Path
) -> None:
    emulator = new_emulator(
        faults=[
            Fault("POST /bulk/v1/activities/export/create.json", "reset_after_write", first=1),
            Fault(ENQUEUE, "reset_after_write", first=1),
            Fault("GET /bulk/v1/activities/export/*/status.json", "truncated_json", every=2),
            Fault(FILE, "file_missing", first=3),
            Fault(FILE, "error", code="606", every=5),
            Fault(FILE, "expired_token", every=7),
            Fault(FILE, "slow", seconds=60, every=11),
            Fault(FILE, "http_502", every=9),
            Fault(FILE, "cut_file", after_bytes=200_000, probability=1.0),
        ]
    )
    there = fill(emulator, 12_000)
    client = new_user(emulator)
    job = waited_for(client, ordered(client))
    path = tmp_path / "activities.csv"
    download_export(client, "activities", job, path)
    came = guids_of(path)
    assert len(came) == job.record_count == len(there)
    assert set(came) == there
    assert hashlib.sha256(path.read_bytes()).hexdigest() == job.sha256
    assert path.stat().st_size == job.file_size == bytes_exported_today(client)
    # The lost reply to the first create left a job behind that never ran.
    assert sorted(each.status for each in exports(client, "activities")) == ["Completed", "Created"]
    assert set(client.stats.errors_by_code) >= {
        "no_file",
        "606",
        "602",
        "502",
        "timeout",
        "connection",
        "reply",
        "1029",
    }


def test_a_wrong_file_is_fetched_once_more(new_user: NewUser, new_emulator: NewEmulator, tmp_path: Path) -> None:
    emulator = new_emulator(faults=[Fault(FILE, "wrong_file", first=1)])
    there = fill(emulator, 500)
    client = new_user(emulator)
    job = waited_for(client, ordered(client))
    download_export(client, "activities", job, tmp_path / "file")
    assert set(guids_of(tmp_path / "file")) == there
    assert client.stats.errors_by_code == {"file": 1}


@pytest.mark.parametrize("is_header", [True, False])
def test_a_job_without_rows_is_fetched_too(
    new_user: NewUser, new_emulator: NewEmulator, tmp_path: Path, is_header: bool
) -> None:
    client = new_user(new_emulator(empty_export_is_header=is_header))
    job = waited_for(client, ordered(client))
    download_export(client, "activities", job, tmp_path / "file")
    assert job.record_count == 0
    assert guids_of(tmp_path / "file") == []


@pytest.mark.parametrize("spelling", ["Cancelled", "Canceled"])
def test_a_job_is_called_off_at_any_time(new_user: NewUser, new_emulator: NewEmulator, spelling: str) -> None:
    client = new_user(new_emulator(cancelled_export=spelling))
    export_id = ordered(client)
    cancel_export(client, "activities", export_id)
    assert waited_for(client, export_id).status == "Cancelled"
    cancel_export(client, "activities", export_id)
    done = waited_for(client, ordered(client))
    cancel_export(client, "activities", done.export_id)
    enqueue_export(client, "activities", done.export_id)
    assert export_status(client, "activities", done.export_id).status == "Completed"


def test_a_full_queue_is_waited_for_outside(new_user: NewUser, new_emulator: NewEmulator) -> None:
    client = new_user(new_emulator())
    under_way = [ordered(client) for _ in range(10)]
    with pytest.raises(QueueFullError):
        ordered(client)
    for export_id in under_way:
        enqueue_export(client, "activities", export_id)
    assert {waited_for(client, export_id).status for export_id in under_way} == {"Completed"}
    assert waited_for(client, ordered(client)).status == "Completed"


def test_a_used_up_export_quota_comes_back_at_midnight_in_chicago(
    new_user: NewUser, new_emulator: NewEmulator, clock: VirtualClock
) -> None:
    emulator = new_emulator(export_quota_bytes=100_000)
    fill(emulator, 1_000)
    client = new_user(emulator)
    job = waited_for(client, ordered(client))
    assert bytes_exported_today(client) == job.file_size
    assert (job.file_size or 0) > 100_000
    with pytest.raises(QuotaExhaustedError) as caught:
        ordered(client)
    enqueue_export(client, "activities", job.export_id)
    clock.advance(caught.value.resume_at.timestamp() - clock.now())
    assert bytes_exported_today(client) == 0
    ordered(client)


def test_a_paging_token_that_ages_is_told_and_replaced(
    new_user: NewUser, new_emulator: NewEmulator, clock: VirtualClock
) -> None:
    emulator = new_emulator(paging_token_seconds=3600)
    there = fill(emulator, 2_000)
    client = new_user(emulator)
    old = paging_token(client, START)
    clock.advance(3600)
    with pytest.raises(PagingTokenError):
        next(activity_pages(client, old, [1]))
    assert set(streamed(client)) == there


def test_deleted_leads_come_by_their_own_stream(new_user: NewUser, new_emulator: NewEmulator) -> None:
    emulator = new_emulator()
    emulator.add_activities(DELETE_LEAD, range(1, 651), NOON - 3600)
    client = new_user(emulator)
    pages = list(deleted_lead_pages(client, paging_token(client, START)))
    assert [activity["leadId"] for page in pages for activity in page.activities] == list(range(1, 651))
    assert next(deleted_lead_pages(client, pages[-1].next_token)).activities == []


def test_over_http_too_a_broken_download_is_continued(tmp_path: Path) -> None:
    clock = VirtualClock(NOON)
    options = EmulatorOptions(faults=[Fault(FILE, "cut_file", after_bytes=300_000, probability=1.0)])
    with (
        closing(Emulator(options, clock)) as emulator,
        closing(ApiBudget(tmp_path / "state", ApiLimits(), clock)) as budget,
        LocalServer(emulator) as server,
        MarketoClient(server.url, options.client_id, options.client_secret, budget, clock=clock) as client,
    ):
        there = fill(emulator, 4_000)
        job = waited_for(client, ordered(client))
        download_export(client, "activities", job, tmp_path / "file")
        assert set(guids_of(tmp_path / "file")) == there
        calls = client.stats.calls_by_endpoint["/bulk/v1/activities/export/{id}/file.json"]
        assert calls <= 2 + (job.file_size or 0) // (300_000 - 16_384)
        assert client.stats.errors_by_code == {"connection": calls - 1}


def test_ten_downloads_at_once_stay_within_the_limits(
    new_user: NewUser, new_emulator: NewEmulator, tmp_path: Path
) -> None:
    emulator = new_emulator()
    fill(emulator, 2_000)
    client = new_user(emulator)
    job = waited_for(client, ordered(client))
    paths = [tmp_path / f"{number}.csv" for number in range(30)]
    with ThreadPoolExecutor(15) as pool:
        list(pool.map(lambda path: download_export(client, "activities", job, path), paths))
    assert {hashlib.sha256(path.read_bytes()).hexdigest() for path in paths} == {job.sha256}
    assert client.stats.errors_by_code == {}


def test_an_hour_of_a_day_is_exported_alone(new_user: NewUser, new_emulator: NewEmulator, tmp_path: Path) -> None:
    emulator = new_emulator(export_end_is_inclusive=False)
    fill(emulator, 3_000)
    client = new_user(emulator)
    start = datetime.fromtimestamp(NOON, UTC) - timedelta(hours=30)
    body = activity_export_body(start, start + timedelta(hours=6), type_ids(client))
    export_id = create_export(client, "activities", body).export_id
    enqueue_export(client, "activities", export_id)
    download_export(client, "activities", waited_for(client, export_id), tmp_path / "file")
    assert set(guids_of(tmp_path / "file")) == {
        activity["marketoGUID"]
        for activity in emulator.activities()
        if activity["activityTypeId"] != DELETE_LEAD
        and start <= datetime.fromisoformat(activity["activityDate"]) < start + timedelta(hours=6)
    }
