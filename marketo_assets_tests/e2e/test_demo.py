"""The demo as a newcomer runs it, twice on the same state, and what its Dagster shows then.

Guards against: a demo that does not add up, processes left after Ctrl-C, contacts sent again although nothing changed
(all 57 columns, so that a fingerprint that is not the same twice shows), activities lost, doubled or found only where
Marketo commits them in time; a backfill that holds in a test and not by Dagster's own daemon, marks days that were not
asked for, or makes a run for each day; a sync that leaves something behind on either side; files that the sensor finds
under a test and not under the daemon, or a pool that gives its slot to the first of them alone.
"""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import boto3
import psutil
import requests

from marketo_assets.sandbox.contacts import open_warehouse

PROJECT = Path(__file__).parents[2]
CONTACTS, ACTIVITIES = 400, 3_000
DEADLINE_SECONDS = 150.0
LINKED = "contacts that became leads, linked to them"
SYNCED = {
    "contacts changed in the warehouse, found in Marketo": 5,
    "leads changed in Marketo, found in the warehouse": 5,
    "changed in both: company, where Marketo wins": 5,
    "changed in both: country, where the later wins": 5,
    "conflicts noted": 10,
    "leads merged in Marketo, found in the warehouse": 1,
    "its contact is the winner's": 1,
    "leads deleted in Marketo, found in the warehouse": 1,
    "its contact is known as lost": 1,
    "accounts, found as companies in Marketo": 200,
    "renamed in the warehouse, found in Marketo": 1,
    "products, found in Marketo": 20,
    "purchases between leads and products, found in Marketo": 500,
    "added in the warehouse, found in Marketo": 1,
    "changed in the warehouse, found in Marketo": 1,
    "deleted in the warehouse, gone in Marketo": 1,
}
BACKFILLS = """
{ partitionBackfillsOrError { ... on PartitionBackfills { results {
    partitionNames runs { status }
} } } }
"""
MATERIALIZED = """
{ assetNodeOrError(assetKey: {path: ["marketo", "activities"]}) { ... on AssetNode {
    assetPartitionStatuses { ... on TimePartitionStatuses { ranges { status startKey endKey } } }
    assetMaterializations(limit: 20) { partition metadataEntries { label ... on IntMetadataEntry { intRepr } } }
    assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization { status } } } }
} } }
"""


@contextmanager
def demo(state: Path, *options: str, activities: int = ACTIVITIES) -> Iterator["subprocess.Popen[str]"]:
    """Killed at the end if it still runs, and with it all that it has started."""
    command = [
        sys.executable,
        "-m",
        "marketo_assets",
        "demo",
        "--state",
        str(state),
        "--contacts",
        str(CONTACTS),
        "--activities",
        str(activities),
        *options,
    ]
    with subprocess.Popen(
        command,
        cwd=PROJECT,
        env={**os.environ, "COLUMNS": "120"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def rows(output: str, name: str) -> int:
    """The number beside a name in the table."""
    found = re.search(rf"│\s+{re.escape(name)}\s+│\s+([\d,]+) │", output)
    assert found, output
    return int(found[1].replace(",", ""))


def check_activities(output: str) -> None:
    """A week came by bulk, late ones were found, today grew, and nothing is missing or too much."""
    assert re.search(r"by bulk\s+│\s+7 days", output), output
    assert rows(output, "found by its second load") >= 5
    assert rows(output, "new at the second poll") > 0
    of_week, of_today = rows(output, "activities"), rows(output, "today by rest, activities")
    assert of_week > 0
    assert of_week + of_today == rows(output, "in the warehouse, up to the watermark")
    assert of_week + of_today == rows(output, "committed by Marketo, up to the watermark")


def check_sync(output: str, *, leads: int) -> None:
    """All that was changed on either side is on the other; so many contacts became leads."""
    table = output[output.index("Both sides in step") :]
    found = re.findall(r"│\s+(\S.*?)\s+│\s+(\d+) │\s+(\d+) │", table)
    assert {name: int(number) for name, number, _ in found} == {LINKED: leads, **SYNCED}, output
    assert {name: int(number) for name, _, number in found} == {LINKED: leads, **SYNCED}, output


def check_backfill(output: str) -> None:
    """The week is one backfill of one run, which marked its days; Dagster's own answers, as the UI would get them."""
    address = re.search(r"Dagster runs at (http://\S+)", output)
    assert address, output

    def ask(query: str) -> Any:
        return requests.post(f"{address[1]}/graphql", json={"query": query}, timeout=30).json()["data"]

    (backfill,) = ask(BACKFILLS)["partitionBackfillsOrError"]["results"]
    (run,) = backfill["runs"]
    assert run["status"] == "SUCCESS"
    days = sorted(map(date.fromisoformat, backfill["partitionNames"]))
    assert len(days) == 7
    assert all(later - earlier == timedelta(days=1) for earlier, later in pairwise(days))
    deadline = time.monotonic() + DEADLINE_SECONDS
    while "MATERIALIZING" in str(asset := ask(MATERIALIZED)["assetNodeOrError"]):
        assert time.monotonic() < deadline, asset
        time.sleep(1)  # every five minutes the demo's own schedule polls today once more
    today = days[-1] + timedelta(days=1)  # polled
    assert asset["assetPartitionStatuses"]["ranges"] == [
        {"status": "MATERIALIZED", "startKey": days[0].isoformat(), "endKey": today.isoformat()},
    ]
    read = {
        each["partition"]
        for each in asset["assetMaterializations"]
        for entry in each["metadataEntries"]
        if entry["label"] == "rows_new" and int(entry["intRepr"]) > 0
    }
    assert read >= {day.isoformat() for day in days}
    verdicts = {
        check["name"]: check["executionForLatestMaterialization"] for check in asset["assetChecksOrError"]["checks"]
    }
    assert verdicts["rows_read_are_rows_stored"] == {"status": "SUCCEEDED"}


def check_files_nobody_announced(environment: dict[str, str]) -> None:
    """Two at once, of people whom the warehouse does not know, both taken by the sensor."""
    people = {"by hand.csv": "ada@example.com", "by%hand.csv": "bob@example.com"}
    with open_warehouse(environment) as warehouse:
        (dropped,) = warehouse.rows("select file from PUMP_FILES where origin = 'drop' order by row_count limit 1")
        prefix = f"{environment['PUMP_PREFIX']}/contacts"
        s3 = boto3.client(
            "s3",
            endpoint_url=environment["AWS_ENDPOINT_URL"],
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
            region_name=environment["AWS_DEFAULT_REGION"],
        )
        bucket = environment["PUMP_BUCKET"]
        file = s3.get_object(Bucket=bucket, Key=f"{prefix}/{dropped['file']}")["Body"]
        columns = next(csv.reader([next(file.iter_lines()).decode()]))
        for name, email in people.items():
            row = ",".join(email if column == "email_address" else "" for column in columns)
            s3.put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=f"{','.join(columns)}\n{row}\n".encode())

        def states() -> set[tuple[str, str]]:
            found = warehouse.rows("select file, state from PUMP_FILES where origin <> 'drop'")
            return {(row["file"], row["state"]) for row in found}

        deadline = time.monotonic() + DEADLINE_SECONDS
        while states() != {(name, "done") for name in people}:
            assert time.monotonic() < deadline, states()
            time.sleep(1)  # the demo's daemon is a process of its own and tells nobody when it is done
        results = warehouse.rows(
            "select file, status from LEAD_SYNC_RESULTS where file in (%(files)s)", files=tuple(people)
        )
        assert {(row["file"], row["status"]) for row in results} == {(name, "created") for name in people}
    assert emails_of_leads(environment, people.values()) == sorted(people.values())


def emails_of_leads(environment: dict[str, str], emails: Iterable[str]) -> list[str]:
    """Those of them that Marketo has, once for each lead."""
    url = environment["MARKETO_BASE_URL"]
    credentials = {
        "grant_type": "client_credentials",
        "client_id": environment["MARKETO_CLIENT_ID"],
        "client_secret": environment["MARKETO_CLIENT_SECRET"],
    }
    token = requests.get(f"{url}/identity/oauth/token", params=credentials, timeout=30).json()["access_token"]
    answer = requests.get(
        f"{url}/rest/v1/leads.json",
        params={"filterType": "email", "filterValues": ",".join(emails), "fields": "email"},
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    ).json()
    return sorted(lead["email"] for lead in answer["result"])


def test_the_demo_adds_up_stops_at_ctrl_c_and_sends_nothing_twice(tmp_path: Path) -> None:
    with demo(tmp_path) as first:
        assert first.stdout is not None
        output = ""
        for line in first.stdout:
            output += line
            if "It keeps running" in line:
                break
        assert "It keeps running" in output, output
        children = psutil.Process(first.pid).children(recursive=True)
        assert len(children) > 4
        check_backfill(output)
        found = [child.as_dict(["cmdline", "environ"]) for child in children if child.is_running()]
        (environment,) = (each["environ"] for each in found if "dagster_webserver" in (each["cmdline"] or []))
        check_files_nobody_announced(environment)
        first.send_signal(signal.SIGINT)
        assert first.wait(60) == 0
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []

    exported = rows(output, "exported to S3")
    without_key, older = rows(output, "without an e-mail"), rows(output, "older ones with the same e-mail")
    assert exported + without_key + older == CONTACTS
    assert rows(output, "accounted for") == exported
    leads = rows(output, "created") + rows(output, "updated")
    assert leads + rows(output, "rejected") == exported
    assert rows(output, "duplicates resolved (several leads, one e-mail)") > 0

    assert rows(output, "leads looked up") > 0
    check_activities(output)
    check_sync(output, leads=leads)

    with demo(tmp_path, "--exit", activities=0) as second:
        output, _ = second.communicate(timeout=240)
    assert second.returncode == 0, output
    assert rows(output, "exported to S3") == 0
    assert rows(output, "unchanged since Marketo answered") == exported
    assert "Nothing has changed" in output
    assert "What became of the activities" not in output
