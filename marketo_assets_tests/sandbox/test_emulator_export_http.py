"""Guards exports over a socket: a public client from PyPI gets them, and large files are streamed, cut and ranged."""

import csv
import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from marketorestpython.client import MarketoClient

from marketo_assets.marketo.clock import VirtualClock
from marketo_assets.sandbox import processes
from marketo_assets.sandbox.marketo import Emulator, EmulatorOptions, Fault, LocalServer
from marketo_assets_tests.sandbox.emulator_calls import START, Api
from marketo_assets_tests.sandbox.export_calls import DAY, Bulk, receive

FILE = "GET /bulk/v1/activities/export/*/file.json"


@contextmanager
def served(clock: VirtualClock, **options: Any) -> Iterator[tuple[Emulator, Api]]:
    emulator = Emulator(EmulatorOptions(**options), clock)
    with LocalServer(emulator) as server:
        api = Api(server.url)
        api.sign_in()
        yield emulator, api
    emulator.close()


def test_activities_and_leads_with_marketorestpython() -> None:
    clock = VirtualClock(START)
    with served(clock) as (emulator, api):
        emulator.fill(2)
        emulator.add_activities(1, [1, 2], START - 60, attributes={"Webpage URL": "/a"}, primary="example.test/a")
        options = emulator.options
        client = MarketoClient("000-AAA-000", options.client_id, options.client_secret)
        client.host = api.base
        filters = {"createdAt": DAY, "activityTypeIds": [1]}
        (job,) = client.execute(method="create_activities_export_job", filters=filters)
        assert job["status"] == "Created"
        (job,) = client.execute(method="enqueue_activities_export_job", job_id=job["exportId"])
        assert job["status"] == "Queued"
        clock.advance(180)
        (job,) = client.execute(method="get_activities_export_job_status", job_id=job["exportId"])
        assert (job["status"], job["numberOfRecords"]) == ("Completed", 2)
        file = client.execute(method="get_activities_export_job_file", job_id=job["exportId"])
        assert job["fileChecksum"] == f"sha256:{hashlib.sha256(file).hexdigest()}"
        rows = list(csv.DictReader(io.StringIO(file.decode(), newline="")))
        assert [(row["leadId"], row["attributes"]) for row in rows] == [
            ("1", '{"Webpage URL":"/a"}'),
            ("2", '{"Webpage URL":"/a"}'),
        ]
        assert client.execute(method="get_activities_export_jobs_list") == [job]

        (job,) = client.execute(
            method="create_leads_export_job", fields=["id", "email"], filters={"staticListName": "Newsletter"}
        )
        client.execute(method="enqueue_leads_export_job", job_id=job["exportId"])
        (job,) = client.execute(method="cancel_leads_export_job", job_id=job["exportId"])
        assert job["status"] == "Cancelled"
        api.post("lists/1001/leads.json", id="2")
        (job,) = client.execute(
            method="create_leads_export_job", fields=["id"], filters={"staticListName": "Newsletter"}
        )
        client.execute(method="enqueue_leads_export_job", job_id=job["exportId"])
        clock.advance(180)
        assert client.execute(method="get_leads_export_job_file", job_id=job["exportId"]) == b"id\n2\n"


def test_a_file_over_a_socket_whole_and_in_parts() -> None:
    clock = VirtualClock(START)
    with served(clock, faults=[Fault(FILE, "cut_file", after_bytes=700_000, every=2)]) as (emulator, api):
        emulator.add_activities(1, range(30_000), START - 60)
        bulk = Bulk(api)
        job = bulk.done(clock)
        whole = bulk.file(job["exportId"])
        assert hashlib.sha256(whole.content).hexdigest() == job["fileChecksum"].removeprefix("sha256:")
        assert whole.headers["Content-Length"] == str(job["fileSize"])
        assert "Transfer-Encoding" not in whole.headers

        received = bytearray()
        cut = bulk.file(job["exportId"], stream=True)
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            receive(cut, received, 1_000)
        assert received == whole.content[: len(received)]
        assert 699_000 < len(received) <= 700_000
        rest = bulk.file(job["exportId"], f"bytes={len(received)}-")
        assert rest.status_code == 206
        assert received + rest.content == whole.content


def test_a_download_that_nobody_reads_holds_up_no_other_call(caplog: pytest.LogCaptureFixture) -> None:
    clock = VirtualClock(START)
    with served(clock) as (emulator, api):
        emulator.add_activities(1, range(4), START - 60, attributes={"Link": "x" * 4_000_000})
        bulk = Bulk(api)
        job = bulk.done(clock)
        before = psutil.Process().memory_info().rss
        with bulk.file(job["exportId"], stream=True) as unread:
            assert unread.status_code == 200
            assert Api(api.base).sign_in()["access_token"]
            assert bulk.status(job["exportId"])["status"] == "Completed"
            assert psutil.Process().memory_info().rss - before < job["fileSize"] / 2
        assert bulk.status(job["exportId"])["status"] == "Completed"
    assert [record for record in caplog.records if record.name.startswith("aiohttp")] == []


def test_the_sandbox_s_marketo_exports_over_its_state(tmp_path: Path) -> None:
    options = EmulatorOptions(
        state=tmp_path / "marketo.sqlite",
        export_seconds=0,
        export_refresh_seconds=0,
        export_quota_bytes=None,
        faults=[Fault(FILE, "file_missing", first=1)],
    )
    server = processes.marketo_server(options, tmp_path / "marketo.log", leads=3, activities=50, days=2)
    try:
        server.wait_until_ready()
        api = Api(server.url)
        api.sign_in()
        bulk = Bulk(api)
        now = datetime.now(UTC)
        days = {"startAt": (now - timedelta(days=3)).isoformat(), "endAt": now.isoformat()}
        job = bulk.started(filters={"createdAt": days})
        status = bulk.status(job)
        while status["status"] != "Completed":
            status = bulk.status(job)
        assert bulk.file(job).status_code == 404
        assert bulk.file(job).content == (tmp_path / "marketo.exports" / f"{job}.csv").read_bytes()
        assert status["numberOfRecords"] > 0
    finally:
        server.stop()
