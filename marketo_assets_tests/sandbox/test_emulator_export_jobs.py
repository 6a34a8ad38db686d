"""Guards the life of an export job: when which step shows, the shared queue, the day's quota, what outlives what."""

from pathlib import Path

import pytest

from marketo_assets.marketo.clock import VirtualClock
from marketo_assets.sandbox.marketo import export_queue
from marketo_assets_tests.sandbox.emulator_calls import START, code, emulated
from marketo_assets_tests.sandbox.export_calls import Bulk

CREATED = {"exportId", "format", "status", "createdAt"}
STARTED = CREATED | {"queuedAt", "startedAt"}
COMPLETED = STARTED | {"finishedAt", "numberOfRecords", "fileSize", "fileChecksum"}
LEADS = {"fields": ["id"]}
A_DAY = 86_400


def test_a_step_shows_with_the_next_refresh_and_its_keys_come_with_it() -> None:
    clock = VirtualClock(START)
    with emulated(clock) as (_, api):
        bulk = Bulk(api)
        (created,) = bulk.create()["result"]
        assert set(created) == CREATED
        job = created["exportId"]
        clock.advance(10)
        (queued,) = bulk.enqueue(job)["result"]
        assert (queued["status"], queued["queuedAt"]) == ("Queued", "2026-05-28T20:26:50Z")
        clock.advance(49)
        assert bulk.status(job) == created
        clock.advance(1)
        assert (bulk.status(job)["status"], set(bulk.status(job))) == ("Processing", STARTED)
        clock.advance(59)
        assert bulk.status(job)["status"] == "Processing"
        assert bulk.file(job).status_code == 404
        clock.advance(1)
        completed = bulk.status(job)
        assert (completed["status"], set(completed)) == ("Completed", COMPLETED)
        assert completed["finishedAt"] == "2026-05-28T20:27:50Z"  # 60 seconds after it started
        assert bulk.file(job).status_code == 200


def test_every_reply_carries_what_is_required() -> None:
    with emulated() as (_, api):
        for bulk, document in ((Bulk(api), {}), (Bulk(api, "leads"), LEADS)):
            job = bulk.new(**document)
            status = bulk.call("GET", f"/{job}/status.json")
            for reply in (bulk.create(**document), bulk.enqueue(job), status, bulk.cancel(job), bulk.list()):
                assert set(reply) == {"requestId", "success", "result"}
                assert all({"exportId", "status"} <= set(shown) for shown in reply["result"])


def test_without_a_refresh_the_status_is_the_latest() -> None:
    clock = VirtualClock(START)
    with emulated(clock, export_refresh_seconds=0, export_seconds=5) as (_, api):
        job = Bulk(api).started()
        assert Bulk(api).status(job)["status"] == "Processing"
        clock.advance(6)
        assert Bulk(api).status(job)["status"] == "Completed"


def test_a_larger_file_takes_longer() -> None:
    clock = VirtualClock(START)
    with emulated(clock, export_refresh_seconds=1, export_seconds=10, export_seconds_per_mb=100) as (emulator, api):
        emulator.add_activities(1, [1], START - 60, attributes={"Link": "x" * 500_000})
        job = Bulk(api).started()
        clock.advance(59)
        assert Bulk(api).status(job)["status"] == "Processing"
        clock.advance(3)
        assert Bulk(api).status(job)["finishedAt"] == "2026-05-28T20:27:40Z"


def test_a_job_is_enqueued_once() -> None:
    clock = VirtualClock(START)
    with emulated(clock) as (_, api):
        bulk = Bulk(api)
        job = bulk.started()
        for seconds in (0, 180):  # as long as it is in the queue, and later
            clock.advance(seconds)
            assert bulk.enqueue(job)["errors"] == [{"code": "1029", "message": "Job already queued"}]


def test_the_queue_of_ten_is_shared_and_two_of_it_run() -> None:
    clock = VirtualClock(START)
    with emulated(clock, export_refresh_seconds=0) as (_, api):
        activities, leads = Bulk(api), Bulk(api, "leads")
        jobs = [activities.started() for _ in range(5)] + [leads.started(**LEADS) for _ in range(5)]
        eleventh = leads.new(**LEADS)
        assert leads.enqueue(eleventh)["errors"] == [{"code": "1029", "message": "Too many jobs in queue"}]
        statuses = [(activities if job in jobs[:5] else leads).status(job)["status"] for job in jobs]
        assert statuses == ["Processing"] * 2 + ["Queued"] * 8
        clock.advance(61)
        assert leads.enqueue(eleventh)["success"]


def test_jobs_start_as_others_end_even_if_nobody_looks() -> None:
    clock = VirtualClock(START)
    with emulated(clock, export_refresh_seconds=0, export_seconds=100) as (_, api):
        bulk = Bulk(api)
        jobs = []
        for _ in range(5):
            jobs.append(bulk.started())
            clock.advance(10)
        clock.advance(1000)
        shown = [bulk.status(job) for job in jobs]
    starts = ["20:26:40", "20:26:50", "20:28:20", "20:28:30", "20:30:00"]
    assert [job["startedAt"][11:19] for job in shown] == starts
    assert shown[4]["finishedAt"] == "2026-05-28T20:31:40Z"


def test_a_cancelled_job_says_so_and_gives_its_place_to_the_next() -> None:
    clock = VirtualClock(START)
    with emulated(clock) as (_, api):
        bulk = Bulk(api)
        jobs = [bulk.started() for _ in range(4)]
        clock.advance(20)
        assert bulk.cancel(jobs[0])["result"][0]["status"] == "Cancelled"
        clock.advance(40)
        assert [bulk.status(job)["status"] for job in jobs] == ["Cancelled", "Processing", "Processing", "Queued"]
        assert bulk.status(jobs[2])["startedAt"] == "2026-05-28T20:27:00Z"
        assert "finishedAt" not in bulk.status(jobs[0])
        clock.advance(600)
        assert bulk.file(jobs[0]).status_code == 404
        assert code(bulk.cancel(jobs[0])) == code(bulk.cancel(jobs[1])) == "1003"
        assert code(bulk.enqueue(jobs[0])) == "1029"


def test_a_job_is_cancelled_as_long_as_its_status_does_not_say_that_it_has_ended() -> None:
    clock = VirtualClock(START)
    with emulated(clock, cancelled_export="Canceled") as (_, api):
        bulk = Bulk(api)
        clock.advance(10)
        job = bulk.started()
        clock.advance(80)
        assert bulk.status(job)["status"] == "Processing"  # it has ended, and the refresh is still to come
        assert bulk.cancel(job)["result"][0]["status"] == "Canceled"
        clock.advance(60)
        assert bulk.status(job)["status"] == "Canceled"
        assert bulk.list(status="cancelled")["result"] == [bulk.status(job)]


def test_a_day_s_quota_stops_creating_and_enqueuing_until_midnight_central_but_no_running_job() -> None:
    clock = VirtualClock(START)
    with emulated(clock, export_quota_bytes=2_000_000) as (emulator, api):
        emulator.add_activities(1, range(1, 5), START - 60, attributes={"Link": "x" * 300_000})
        bulk, leads = Bulk(api), Bulk(api, "leads")
        waiting = leads.new(**LEADS)
        running = [bulk.started() for _ in range(3)]
        clock.advance(600)
        assert [bulk.status(job)["status"] for job in running] == ["Completed"] * 3
        over = [{"code": "1029", "message": "Export daily quota 2MB exceeded"}]
        assert bulk.create()["errors"] == leads.create(**LEADS)["errors"] == leads.enqueue(waiting)["errors"] == over
        clock.advance(9 * 3600)  # past 5 o'clock UTC
        api.sign_in()
        assert leads.enqueue(waiting)["success"]
        assert bulk.create()["success"]


def test_the_list_is_in_pages_by_status_and_goes_back_7_days() -> None:
    clock = VirtualClock(START)
    with emulated(clock, token_seconds=100 * A_DAY) as (_, api):
        bulk = Bulk(api)
        assert "result" not in bulk.list()
        assert "result" not in Bulk(api, "program/members").list()
        jobs = [bulk.new() for _ in range(5)]
        for job in jobs[:2]:
            bulk.enqueue(job)
        Bulk(api, "leads").started(**LEADS)
        clock.advance(180)
        first = bulk.list(batchSize=3)
        second = bulk.list(batchSize=3, nextPageToken=first["nextPageToken"])
        assert [job["exportId"] for job in first["result"] + second["result"]] == jobs
        assert "nextPageToken" not in second
        assert [job["exportId"] for job in bulk.list(status="completed,failed")["result"]] == jobs[:2]
        assert code(bulk.list(status="done")) == "1003"
        assert code(bulk.list(nextPageToken="X")) == "1003"
        clock.advance(7 * A_DAY)
        assert "result" not in bulk.list()


def test_a_file_is_kept_7_days_and_a_job_30() -> None:
    clock = VirtualClock(START)
    with emulated(clock, token_seconds=100 * A_DAY) as (_, api):
        bulk = Bulk(api)
        job = bulk.done(clock)["exportId"]
        clock.advance(7 * A_DAY - 180)
        assert bulk.file(job).status_code == 200
        clock.advance(180)
        assert bulk.file(job).status_code == 404
        clock.advance(22 * A_DAY)
        assert bulk.status(job)["status"] == "Completed"
        clock.advance(2 * A_DAY)
        assert code(bulk.call("GET", f"/{job}/status.json")) == "1013"


def test_jobs_and_files_survive_a_restart(tmp_path: Path) -> None:
    clock, state = VirtualClock(START), tmp_path / "marketo.sqlite"
    with emulated(clock, state=state) as (emulator, api):
        emulator.add_activities(1, [1, 2], START - 60)
        done = Bulk(api).done(clock)
        file = Bulk(api).file(done["exportId"]).content
        running, created = Bulk(api).started(), Bulk(api).new()
    with emulated(clock, state=state) as (_, api):
        bulk = Bulk(api)
        assert bulk.status(done["exportId"]) == done
        assert bulk.file(done["exportId"]).content == file
        clock.advance(180)
        assert bulk.file(running).content == file
        assert bulk.enqueue(created)["success"]
        assert [job["status"] for job in bulk.list()["result"]] == ["Completed", "Completed", "Created"]


def test_a_large_file_is_written_over_several_looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(export_queue, "ROWS_PER_LOOK", 4_000)
    clock = VirtualClock(START)
    with emulated(clock, state=tmp_path / "marketo.sqlite") as (emulator, api):
        emulator.add_activities(1, range(1, 10_001), START - 60)
        bulk = Bulk(api)
        job = bulk.started()
        clock.advance(600)
        api.sync({"email": "meanwhile@example.test"})
        assert bulk.status(job)["status"] == bulk.status(job)["status"] == "Processing"
        assert bulk.status(job)["numberOfRecords"] == 10_000
        lines = bulk.file(job).content.splitlines()[1:]
    assert [int(line.split(b",")[1]) for line in lines] == list(range(1, 10_001))


def test_a_job_that_nobody_has_is_unknown() -> None:
    with emulated() as (_, api):
        bulk = Bulk(api)
        other = Bulk(api, "leads").started(**LEADS)
        for job in (other, "nope", "e71a5d3c-5d0e-4b5c-9d52-2f9a1c9d5a11"):
            assert code(bulk.enqueue(job)) == code(bulk.cancel(job)) == "1013"
            missing = bulk.file(job)
            assert (missing.status_code, missing.headers["Content-Type"]) == (404, "text/plain")


def test_bulk_paths_do_not_begin_with_rest() -> None:
    with emulated() as (_, api):
        assert code(api.get("activities/export.json")) == "610"
        assert code(Bulk(api).call("GET", "/create.json")) == "605"
        assert code(Bulk(api, "program/members").create(fields=["leadId"], filters={"programId": 1})) == "610"
