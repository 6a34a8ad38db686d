"""The demo as a newcomer runs it, twice on the same state, and what its Dagster shows then.

Guards against: a demo that does not add up, processes left after Ctrl-C, contacts sent again although nothing changed
(all 57 columns, so that a fingerprint that is not the same twice shows), activities lost, doubled or found only where
Marketo commits them in time; a backfill that holds in a test and not by Dagster's own daemon, marks days that were not
asked for, or makes a run (and an export job) for each day.
"""

import os
import re
import signal
import subprocess
import sys
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import requests

PROJECT = Path(__file__).parents[2]
CONTACTS, ACTIVITIES = 400, 3_000
BACKFILLS = """
{ partitionBackfillsOrError { ... on PartitionBackfills { results {
    partitionNames runs { status tags { key value } }
} } } }
"""
MATERIALIZED = """
{ assetNodeOrError(assetKey: {path: ["marketo", "activities"]}) { ... on AssetNode {
    assetPartitionStatuses { ... on TimePartitionStatuses { ranges { status startKey endKey } } }
    assetMaterializations(limit: 20) { partition metadataEntries { label ... on IntMetadataEntry { intRepr } } }
    assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization { status } } } }
} } }
"""


def demo(state: Path, *options: str, activities: int = ACTIVITIES) -> "subprocess.Popen[str]":
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
    return subprocess.Popen(
        command,
        cwd=PROJECT,
        env={**os.environ, "COLUMNS": "120"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


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
    asset = ask(MATERIALIZED)["assetNodeOrError"]
    today = days[-1] + timedelta(days=1)  # polled
    assert asset["assetPartitionStatuses"]["ranges"] == [
        {"status": "MATERIALIZED", "startKey": days[0].isoformat(), "endKey": today.isoformat()},
    ]
    rows_by_day: dict[str, int] = {}
    for each in asset["assetMaterializations"]:
        new = next(int(entry["intRepr"]) for entry in each["metadataEntries"] if entry["label"] == "rows_new")
        rows_by_day[each["partition"]] = rows_by_day.get(each["partition"], 0) + new
    late = rows(output, "found by its second load")
    assert sum(rows_by_day[day.isoformat()] for day in days) == rows(output, "  activities") + late
    verdicts = {
        check["name"]: check["executionForLatestMaterialization"] for check in asset["assetChecksOrError"]["checks"]
    }
    assert verdicts["rows_read_are_rows_stored"] == {"status": "SUCCEEDED"}


def test_the_demo_adds_up_stops_at_ctrl_c_and_sends_nothing_twice(tmp_path: Path) -> None:
    first = demo(tmp_path)
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
    first.send_signal(signal.SIGINT)
    assert first.wait(60) == 0
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []

    exported = rows(output, "exported to S3")
    without_key, older = rows(output, "without an e-mail"), rows(output, "older ones with the same e-mail")
    assert exported + without_key + older == CONTACTS
    assert rows(output, "accounted for") == exported
    assert rows(output, "created") + rows(output, "updated") + rows(output, "rejected") == exported
    assert rows(output, "duplicates resolved (several leads, one e-mail)") > 0

    assert rows(output, "leads looked up") > 0
    check_activities(output)

    second = demo(tmp_path, "--exit", activities=0)
    output, _ = second.communicate(timeout=240)
    assert second.returncode == 0, output
    assert rows(output, "exported to S3") == 0
    assert rows(output, "unchanged since Marketo answered") == exported
    assert "Nothing has changed" in output
    assert "What became of the activities" not in output
