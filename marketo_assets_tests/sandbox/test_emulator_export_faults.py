"""Guards misbehaviour of export jobs and their files: each fault does what it says, to the job or call it is for."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import requests

from marketo_assets.marketo.clock import VirtualClock
from marketo_assets.sandbox.marketo import Fault, FaultsError, load_faults
from marketo_assets_tests.sandbox.emulator_calls import START, code, emulated
from marketo_assets_tests.sandbox.export_calls import Bulk, receive

ENQUEUE = "POST /bulk/v1/activities/export/*/enqueue.json"
FILE = "GET /bulk/v1/activities/export/*/file.json"
ROW = b"leadId\n7\n"


def test_a_completed_job_without_a_file_for_the_first_calls() -> None:
    clock = VirtualClock(START)
    with emulated(clock, faults=[Fault(FILE, "file_missing", first=2)]) as (_, api):
        bulk = Bulk(api)
        job = bulk.done(clock)["exportId"]
        assert [bulk.file(job).status_code for _ in range(3)] == [404, 404, 200]


def test_an_error_in_place_of_a_file() -> None:
    clock = VirtualClock(START)
    with emulated(clock, faults=[Fault(FILE, "error", code="606", first=1)]) as (_, api):
        bulk = Bulk(api)
        job = bulk.done(clock)["exportId"]
        reply = bulk.file(job)
        assert (reply.status_code, code(reply.json())) == (200, "606")
        assert bulk.file(job).content.startswith(b"marketoGUID")


@pytest.mark.parametrize("asked", [None, "bytes=3-"])
def test_a_connection_cut_in_the_middle_of_a_file(asked: str | None) -> None:
    clock = VirtualClock(START)
    with emulated(clock, faults=[Fault(FILE, "cut_file", after_bytes=4, first=1)]) as (emulator, api):
        emulator.add_activities(1, [7], START - 5)
        bulk = Bulk(api)
        job = bulk.done(clock, fields=["leadId"])["exportId"]
        reply = bulk.file(job, asked, stream=True)
        received = bytearray()
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            receive(reply, received, 1)
        start = 3 if asked else 0
        assert received == ROW[start : start + 4]
        assert bulk.file(job).content == ROW


def test_a_file_with_wrong_bytes_has_the_right_length() -> None:
    clock = VirtualClock(START)
    with emulated(clock, faults=[Fault(FILE, "wrong_file", first=1)]) as (emulator, api):
        emulator.add_activities(1, range(50_000), START - 5)
        bulk = Bulk(api)
        job = bulk.done(clock)
        wrong, right = (bulk.file(job["exportId"]).content for _ in range(2))
    assert len(wrong) == len(right) == job["fileSize"]
    assert sum(a != b for a, b in zip(wrong, right, strict=True)) == 1
    assert job["fileChecksum"] == f"sha256:{hashlib.sha256(right).hexdigest()}"


def test_a_wrong_number_of_records() -> None:
    clock = VirtualClock(START)
    with emulated(clock, faults=[Fault(ENQUEUE, "wrong_count", first=1)]) as (emulator, api):
        emulator.add_activities(1, [7], START - 5)
        assert [Bulk(api).done(clock)["numberOfRecords"] for _ in range(2)] == [2, 1]


def test_a_job_that_fails_says_why_and_has_no_file() -> None:
    clock = VirtualClock(START)
    with emulated(clock, faults=[Fault(ENQUEUE, "job_fails", first=1)]) as (_, api):
        failed = Bulk(api).done(clock)
        assert failed["status"] == "Failed"
        assert failed["errorMsg"]
        assert not {"fileSize", "fileChecksum", "numberOfRecords"} & set(failed)
        assert Bulk(api).file(failed["exportId"]).status_code == 404
        assert Bulk(api).done(clock)["status"] == "Completed"


@pytest.mark.parametrize("spelling", ["Cancelled", "Canceled"])
def test_a_job_that_somebody_else_cancels(spelling: Any) -> None:
    clock = VirtualClock(START)
    faults = [Fault(ENQUEUE, "job_cancelled", first=1)]
    with emulated(clock, faults=faults, cancelled_export=spelling) as (_, api):
        assert Bulk(api).done(clock)["status"] == spelling
        assert Bulk(api).done(clock)["status"] == "Completed"


def test_a_job_that_lingers_reads_created_for_so_long_and_is_in_the_queue() -> None:
    clock = VirtualClock(START)
    with emulated(clock, faults=[Fault(ENQUEUE, "job_lingers", seconds=600, first=1)]) as (_, api):
        bulk = Bulk(api)
        job = bulk.new()
        assert bulk.enqueue(job)["result"][0]["status"] == "Queued"
        assert clock.now() == START
        clock.advance(600)
        assert bulk.status(job)["status"] == "Created"
        assert bulk.enqueue(job)["errors"][0]["message"] == "Job already queued"
        clock.advance(60)
        assert bulk.status(job)["status"] == "Processing"


def test_a_job_that_never_ends_keeps_its_place_until_it_is_cancelled() -> None:
    clock = VirtualClock(START)
    with emulated(clock, faults=[Fault(ENQUEUE, "job_never_ends", first=2)], token_seconds=10**6) as (_, api):
        bulk = Bulk(api)
        jobs = [bulk.started() for _ in range(3)]
        clock.advance(86_400)
        assert [bulk.status(job)["status"] for job in jobs] == ["Processing", "Processing", "Queued"]
        bulk.cancel(jobs[0])
        clock.advance(180)
        assert [bulk.status(job)["status"] for job in jobs] == ["Cancelled", "Processing", "Completed"]


def test_quotes_left_alone_within_a_value() -> None:
    clock = VirtualClock(START)
    with emulated(clock, faults=[Fault(ENQUEUE, "lone_quotes", first=1)]) as (emulator, api):
        emulator.add_activities(1, [7], START - 5, primary='a 5" disk, "new"', attributes={"Size": '5"'})
        fields = ["primaryAttributeValue", "attributes"]
        wrong, right = (Bulk(api).exported(clock, fields=fields).split(b"\n")[1] for _ in range(2))
    assert wrong == rb'"a 5" disk, "new"","{""Size"":""5\""""}"'
    assert right == rb'"a 5"" disk, ""new""","{""Size"":""5\""""}"'


def test_what_a_job_has_is_remembered(tmp_path: Path) -> None:
    clock, state = VirtualClock(START), tmp_path / "marketo.sqlite"
    with emulated(clock, state=state, faults=[Fault(ENQUEUE, "job_fails", first=1)]) as (_, api):
        job = Bulk(api).started()
    clock.advance(180)
    with emulated(clock, state=state) as (_, api):
        assert Bulk(api).status(job)["status"] == "Failed"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{call: GET /bulk/*, fault: job_fails, first: 1}", "call must end in /enqueue.json"),
        ("{call: GET /bulk/*, fault: wrong_file, first: 1}", "call must end in /file.json"),
        ("{call: POST */enqueue.json, fault: job_lingers, first: 1}", "job_lingers needs seconds"),
        ("{call: GET */file.json, fault: cut_file, after_bytes: -1, first: 1}", "after_bytes must be 0 or more"),
        ("{call: GET */file.json, fault: cut_file, after_bytes: few, first: 1}", "after_bytes has the wrong type"),
    ],
)
def test_faults_that_make_no_sense_are_refused(tmp_path: Path, entry: str, message: str) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(f"faults: [{entry}]")
    with pytest.raises(FaultsError, match=message):
        load_faults(path)
