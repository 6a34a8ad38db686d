"""Runs that end before their file does: killed, out of quota, cut off, and what the next run makes of them.

Guards against: rows sent and forgotten, counted twice or never sent, leads doubled by a second run, a run that is green
although rows are missing, a quota that is hammered, and a run that clears away what another one is using.
"""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import requests

from marketo_assets.pump.recorder import FLUSH_ROWS
from marketo_assets.resume import RESUME_AFTER_TAG
from marketo_assets.sandbox.marketo import Emulator, EmulatorOptions, EmulatorTransport
from marketo_assets.sandbox.marketo.faults import Fault
from marketo_assets_tests.pump.conftest import PumpWorld


def rows(count: int) -> bytes:
    lines = "".join(f"lead{number}@example.com,Ada\n" for number in range(1, count + 1))
    return f"email_address,first_name\n{lines}".encode()


def begun(world: PumpWorld, content: bytes) -> str:
    world.put("file.csv", content)
    (partition,) = world.new_partitions()
    return partition


def by_status(world: PumpWorld) -> dict[str, int]:
    return dict(Counter(status for _, status, _ in world.statuses()))


def test_a_run_killed_after_a_recorded_chunk_goes_on_behind_it(world: PumpWorld, tmp_path: Path) -> None:
    count, state = FLUSH_ROWS + 900, tmp_path / "marketo.db"
    partition = begun(world, rows(count))
    killed = subprocess.run(  # noqa: PLW1510 - it must fail
        [sys.executable, "-m", "marketo_assets_tests.pump.killed_run", partition, str(state)],
        env={**os.environ, **world.env},
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert world.warehouse.rows("select count(*) as n from LEAD_SYNC_RESULTS") == [{"n": FLUSH_ROWS}]
    emulator = Emulator(EmulatorOptions(state=state), world.clock)
    world.marketo = replace(world.marketo, emulator=emulator)
    world.load()
    calls = emulator.calls()
    result = world.leads(partition)
    assert result.success
    told = world.metadata(result)
    assert told["dagster/row_count"] == told["created"] + told["updated"] == count
    assert emulator.lead_count() == count
    assert emulator.calls() - calls == 2 + 900 // 300, "usage, Describe Lead, and what was not recorded"
    runs = world.warehouse.rows("select run_id, count(*) as n from LEAD_SYNC_RESULTS group by run_id order by n")
    assert [row["n"] for row in runs] == [900, FLUSH_ROWS]
    assert [file["state"] for file in world.files()] == ["done"]
    emulator.close()


def test_the_quota_stops_the_run_keeps_what_is_done_and_the_sensor_resumes_it_once(world: PumpWorld) -> None:
    world.misbehave(Fault("POST /rest/v1/leads.json", "error", code="607", every=3))
    partition = begun(world, rows(1000))
    stopped = world.leads(partition)
    assert "607" in world.failure(stopped)
    done = by_status(world)
    assert set(done) == {"created"}
    assert 600 <= done["created"] == world.emulator.lead_count() < 1000
    assert [file["state"] for file in world.files()] == ["open"]
    world.misbehave()
    calls = world.emulator.calls()
    assert not world.leads(partition).success
    assert world.emulator.calls() == calls, "no call is made while the quota is known to be used up"

    run = world.instance.get_run_by_id(stopped.run_id)
    assert run is not None
    midnight_in_chicago = datetime(2026, 3, 3, 6, tzinfo=UTC)
    assert datetime.fromisoformat(run.tags[RESUME_AFTER_TAG]) == midnight_in_chicago
    for record in world.instance.get_run_records():
        later = datetime.now(UTC) + timedelta(hours=1)
        world.instance.add_run_tags(record.dagster_run.run_id, {RESUME_AFTER_TAG: later.isoformat()})
    assert world.tick() == [], "not before there is a new quota"
    world.put("another.csv", b"email_address\n")
    assert world.tick() == [], "nor any other file, which could not be sent either"
    for record in world.instance.get_run_records():
        world.instance.add_run_tags(record.dagster_run.run_id, {RESUME_AFTER_TAG: midnight_in_chicago.isoformat()})
    world.s3.Object(f"{world.bucket.prefix}another.csv").delete()
    (asked,) = world.tick()
    assert asked.partition_key == partition
    assert [request.run_key for request in world.tick()] == [asked.run_key], "Dagster takes each run key once"

    world.clock.advance(midnight_in_chicago.timestamp() - world.clock.now() + 1)
    result = world.leads(partition)
    assert world.metadata(result)["created"] == 1000
    assert world.emulator.lead_count() == 1000
    assert [file["state"] for file in world.files()] == ["done"]
    assert world.tick() == [], "resumed once, not for ever"


def test_a_run_that_fails_midway_remembers_every_row_that_marketo_took(world: PumpWorld) -> None:
    world.misbehave(Fault("POST /rest/v1/leads.json", "error", code="610", every=2))
    partition = begun(world, rows(1500) + b"lead1@example.com\nlead2@example.com,Eva\n")
    assert "610" in world.failure(world.leads(partition))
    assert by_status(world).get("created", 0) == world.emulator.lead_count() > 0
    assert world.new_partitions() == [], "a failed file waits for a person"
    world.misbehave()
    told = world.metadata(world.leads(partition))
    assert {name: told[name] for name in ("dagster/row_count", "created", "superseded", "rejected", "unsent")} == {
        "dagster/row_count": 1502,
        "created": 1500,
        "superseded": 1,
        "rejected": 1,
        "unsent": 0,
    }
    again = world.metadata(world.leads(partition))
    assert {name: again[name] for name in told if name in again and isinstance(told[name], int)} | {
        "api_calls": told["api_calls"],
    } == {name: value for name, value in told.items() if isinstance(value, int)}
    assert again["api_calls"] == 1, "a finished file has nothing left to send"


def test_a_lost_reply_neither_doubles_leads_nor_loses_rows(world: PumpWorld) -> None:
    world.misbehave(Fault("POST /rest/v1/leads.json", "reset_after_write", first=2))
    told = world.metadata(world.sync_one(rows(600)))
    assert told["created"] + told["updated"] == world.emulator.lead_count() == 600


class SkippingTransport(EmulatorTransport):
    """Marketo skips the first row of a call for a reason that is nobody's fault."""

    def send(self, request: requests.PreparedRequest, *arguments: Any, **named: Any) -> requests.Response:
        response = super().send(request, *arguments, **named)
        document = response.json()
        if request.method == "POST" and document.get("result"):
            document["result"][0] = {"seq": 0, "status": "skipped", "reasons": [{"code": "713", "message": "busy"}]}
        response._content = json.dumps(document).encode()
        return response


def test_rows_that_marketo_skipped_for_no_fault_of_theirs_are_unsent_and_the_run_is_not_green(
    world: PumpWorld,
) -> None:
    working = world.marketo
    world.marketo = replace(working, transport=SkippingTransport)
    world.load()
    partition = begun(world, rows(400))
    failed = world.leads(partition)
    assert "2 rows are not sent; run the partition again" in world.failure(failed)
    assert by_status(world) == {"created": 398}
    assert [file["state"] for file in world.files()] == ["open"]
    world.marketo = working
    world.load()
    told = world.metadata(world.leads(partition))
    # The emulator had taken the two rows all the same.
    assert (told["created"], told["updated"], told["unsent"]) == (398, 2, 0)
    assert [file["state"] for file in world.files()] == ["done"]


def test_a_run_leaves_alone_what_runs_beside_it_have_staged(world: PumpWorld) -> None:
    partition = begun(world, rows(3))
    with world.warehouse.staged(pa.table({"lead_id": [1, 2]})) as staged:
        assert world.leads(partition).success
        assert world.warehouse.rows(f"select lead_id from {staged} order by lead_id") == [
            {"lead_id": 1},
            {"lead_id": 2},
        ]
