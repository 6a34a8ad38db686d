"""Guards the files of exports: which rows are in them, every byte of a value, and which part of them is sent."""

import csv
import hashlib
import io

import orjson
import pytest

from marketo_assets.marketo.clock import VirtualClock
from marketo_assets_tests.sandbox.emulator_calls import START, emulated
from marketo_assets_tests.sandbox.export_calls import DAY, Bulk

HEADER = (
    b"marketoGUID,leadId,activityDate,activityTypeId,campaignId,"
    b"primaryAttributeValueId,primaryAttributeValue,attributes"
)
DIRTY = 'a "quoted", text\x00\r\nnext\u2028line\x1c\x85 end\\ '


def test_activities_have_their_documented_columns_and_null_for_what_is_empty() -> None:
    clock = VirtualClock(START)
    with emulated(clock) as (emulator, api):
        emulator.add_activities(
            1, [7], START - 5, attributes={"Client IP Address": "10.0.0.1", "Score": 3, "Success": False}, campaign_id=9
        )
        emulator.add_activities(46, [8], START - 4, primary="Web, mostly", primary_id=71)
        file = Bulk(api).exported(clock)
    assert file.split(b"\n") == [
        HEADER,
        b'1,7,2026-05-28T20:26:35Z,1,9,null,null,"{""Client IP Address"":""10.0.0.1"",""Score"":3,""Success"":false}"',
        b'2,8,2026-05-28T20:26:36Z,46,null,71,"Web, mostly",{}',
        b"",
    ]


def test_values_are_kept_byte_for_byte() -> None:
    clock = VirtualClock(START)
    with emulated(clock) as (emulator, api):
        emulator.add_activities(1, [7], START - 5, primary=DIRTY, attributes={"Näme": DIRTY})
        file = Bulk(api).exported(clock)
    ((_, row),) = [list(csv.reader(io.StringIO(file.decode(), newline="")))]
    assert row[6] == DIRTY
    assert orjson.loads(row[7]) == {"Näme": DIRTY}
    assert b"\x00\r\nnext\xe2\x80\xa8line" in file


def test_an_activity_file_has_the_same_activities_as_the_emulator_but_deletes() -> None:
    clock = VirtualClock(START)
    with emulated(clock) as (emulator, api):
        api.sync({"email": "a@example.test"}, {"email": "b@example.test"}, {"email": "c@example.test"})
        api.sync({"email": "a@example.test", "firstName": "A", "cDBCompanyName": "ACME, Inc."})
        api.post("lists/1001/leads.json", id="1")
        api.post("leads/1/merge.json", leadId="2")
        api.post("leads/delete.json", id="3")
        clock.advance(60)
        every = list(emulator.activities())
        rows = list(csv.DictReader(io.StringIO(Bulk(api).exported(clock).decode(), newline="")))
        merged = Bulk(api).exported(clock, filters={"createdAt": DAY, "activityTypeIds": [32, 37]})
    assert {activity["activityTypeId"] for activity in every} == {12, 13, 24, 32, 37}
    wanted = [activity for activity in every if activity["activityTypeId"] != 37]
    assert [row["marketoGUID"] for row in rows] == [activity["marketoGUID"] for activity in wanted]
    for row, activity in zip(rows, wanted, strict=True):
        assert int(row["leadId"]) == activity["leadId"]
        attributes = {attribute["name"]: attribute["value"] for attribute in activity["attributes"]}
        assert orjson.loads(row["attributes"]) == attributes
    assert len(merged.splitlines()) == 2


def test_what_is_committed_after_a_job_began_is_not_in_its_file() -> None:
    clock = VirtualClock(START)
    with emulated(clock) as (emulator, api):
        emulator.add_activities(1, [1], START - 60)
        bulk = Bulk(api)
        job = bulk.started(fields=["leadId"])
        clock.advance(1)
        emulator.add_activities(1, [2], START - 60)
        clock.advance(180)
        assert bulk.file(job).content == b"leadId\n1\n"
        assert bulk.exported(clock, fields=["leadId"]) == b"leadId\n1\n2\n"


def test_fields_are_columns_in_their_order_under_the_names_asked_for() -> None:
    clock = VirtualClock(START)
    with emulated(clock) as (emulator, api):
        emulator.add_activities(1, [7], START - 5)
        names = {"leadId": "Lead, of course"}
        file = Bulk(api).exported(clock, fields=["actionResult", "leadId"], columnHeaderNames=names)
    assert file == b'actionResult,"Lead, of course"\nnull,7\n'


@pytest.mark.parametrize(("is_header", "content"), [(True, b"leadId\n"), (False, b"")])
def test_a_job_without_rows(is_header: bool, content: bytes) -> None:
    clock = VirtualClock(START)
    with emulated(clock, empty_export_is_header=is_header) as (_, api):
        bulk = Bulk(api)
        job = bulk.done(clock, fields=["leadId"])
        assert (job["numberOfRecords"], job["fileSize"]) == (0, len(content))
        assert job["fileChecksum"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert (bulk.file(job["exportId"]).status_code, bulk.file(job["exportId"]).content) == (200, content)
        assert bulk.file(job["exportId"], "bytes=99-").status_code == 416


def test_leads_by_creation_change_and_list() -> None:
    clock = VirtualClock(START)
    with emulated(clock) as (emulator, api):
        emulator.fill(3, ["old@example.test", "changed@example.test", "listed@example.test"], duplicate_share=0)
        api.sync({"email": "new@example.test", "firstName": 'A "B", C', "marketingSuspended": True})
        api.sync({"email": "changed@example.test", "cDBCompanyName": "ACME"})  # a custom field: updatedAt stays
        api.post("lists/1002/leads.json", id="3")
        clock.advance(60)
        leads = Bulk(api, "leads")
        names = ["email", "firstName", "marketingSuspended", "lastName", "createdAt"]
        created = leads.exported(clock, fields=names)
        changed = leads.exported(clock, fields=["id"], filters={"updatedAt": DAY})
        listed = [
            leads.exported(clock, fields=["id"], filters=by)
            for by in ({"staticListId": 1002}, {"staticListName": "Customers"})
        ]
    assert created.splitlines()[1:] == [b'new@example.test,"A ""B"", C",true,null,2026-05-28T20:26:40Z']
    assert changed == b"id\n2\n4\n"
    assert listed == [b"id\n3\n"] * 2


@pytest.mark.parametrize(
    ("asked", "status", "start", "stop"),
    [
        ("bytes=0-9", 206, 0, 10),
        ("bytes=10-19", 206, 10, 20),
        ("bytes=20-", 206, 20, None),
        ("bytes=0-999999", 206, 0, None),
        ("bytes=-5", 206, -5, None),
        ("bytes=9-3", 200, 0, None),
        ("bytes=0-1,5-6", 200, 0, None),
        ("rows=1-2", 200, 0, None),
    ],
)
def test_a_range_of_a_file(asked: str, status: int, start: int, stop: int | None) -> None:
    clock = VirtualClock(START)
    with emulated(clock) as (emulator, api):
        emulator.add_activities(1, [7], START - 5)
        bulk = Bulk(api)
        job = bulk.done(clock)
        whole = bulk.file(job["exportId"]).content
        reply = bulk.file(job["exportId"], asked)
    assert (reply.status_code, reply.content) == (status, whole[start:stop])
    assert reply.headers["Accept-Ranges"] == "bytes"
    assert reply.headers["Content-Length"] == str(len(reply.content))
    first = start % len(whole)
    shown = f"bytes {first}-{first + len(reply.content) - 1}/{len(whole)}" if status == 206 else None
    assert reply.headers.get("Content-Range") == shown


def test_a_range_beyond_the_end_is_416() -> None:
    clock = VirtualClock(START)
    with emulated(clock) as (_, api):
        job = Bulk(api).done(clock)
        reply = Bulk(api).file(job["exportId"], f"bytes={job['fileSize']}-")
    assert (reply.status_code, reply.headers["Content-Range"]) == (416, f"bytes */{job['fileSize']}")


def test_a_file_is_believable_and_never_compressed() -> None:
    clock = VirtualClock(START)
    with emulated(clock) as (emulator, api):
        emulator.add_activities(1, range(500), START - 5)
        bulk = Bulk(api)
        job = bulk.done(clock)
        reply = bulk.file(job["exportId"])
    assert "gzip" in reply.request.headers["Accept-Encoding"]
    assert "Content-Encoding" not in reply.headers
    assert reply.headers["Content-Type"].startswith("text/csv")
    assert job["fileSize"] == len(reply.content)
    assert job["fileChecksum"] == f"sha256:{hashlib.sha256(reply.content).hexdigest()}"
    assert job["numberOfRecords"] == len(reply.content.splitlines()) - 1 == 500
