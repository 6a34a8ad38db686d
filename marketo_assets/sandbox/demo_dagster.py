"""What the parts of the demo ask of the running Dagster, through its GraphQL as the UI does.

Does not belong here: starting Dagster (dagster_dev.py), and what the parts of the demo want from it.
"""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
import requests
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from marketo_assets.sandbox.processes import Server

POLL_SECONDS = 1.0
_ASSET_JOB = "__ASSET_JOB"
_LOCATION = {"repositoryName": "__repository__", "repositoryLocationName": "marketo_assets"}
_LAUNCH_RUN = """
mutation($it: ExecutionParams!) {
  launchPipelineExecution(executionParams: $it) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
_LAUNCH_BACKFILL = """
mutation($it: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $it) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
_BACKFILL = """
query($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill { error { message } runs { runId } }
  }
}
"""
_FAILED = """
query($since: Float!) {
  runsOrError(filter: {statuses: [FAILURE, CANCELED], createdAfter: $since}, limit: 1) {
    ... on Runs {
      results { runId eventConnection { events { ... on ErrorEvent { error { message causes { message } } } } } }
    }
  }
}
"""
_MATERIALIZED = """
query($since: Float!) {
  runsOrError(filter: {createdAfter: $since}) {
    ... on Runs {
      results {
        runId
        eventConnection {
          events {
            ... on MaterializationEvent {
              assetKey { path } partition metadataEntries { label ... on IntMetadataEntry { intRepr } }
            }
          }
        }
      }
    }
  }
}
"""

Steps = Generator[None, None, None]
"""A part of the demo: whenever it yields, it waits for something, and the other parts may go on."""


class DemoError(click.ClickException):
    """The demo did not end as it should."""


@dataclass(frozen=True)
class Materialization:
    """One asset, or one partition of it, by one run; the whole numbers among its metadata."""

    run_id: str
    asset: str
    partition: str | None
    numbers: Mapping[str, int]


class DagsterApi:
    """A running Dagster."""

    def __init__(self, server: Server) -> None:
        """`server`: what `dagster_server` has started."""
        self.server = server

    def query(self, text: str, **variables: Any) -> Any:
        """The data of an answer."""
        body = {"query": text, "variables": variables}
        return requests.post(f"{self.server.url}/graphql", json=body, timeout=60).json()["data"]

    def launch(
        self, *assets: Sequence[str], partition: str | None = None, tags: Mapping[str, str] | None = None
    ) -> str:
        """Materialize these assets, by their paths, in one run; its id."""
        given = {**(tags or {}), **({} if partition is None else {"dagster/partition": partition})}
        metadata = {"tags": [{"key": key, "value": value} for key, value in given.items()]}
        return self._launch(
            {"pipelineName": _ASSET_JOB, "assetSelection": _keys(assets), "assetCheckSelection": None}, metadata
        )

    def launch_job(self, name: str) -> str:
        """A run of a whole job; its id."""
        return self._launch({"pipelineName": name}, {})

    def _launch(self, selected: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
        selector = {**_LOCATION, **selected}
        params = {"selector": selector, "executionMetadata": metadata, "runConfigData": {}, "mode": "default"}
        answer = self.query(_LAUNCH_RUN, it=params)["launchPipelineExecution"]
        if "run" not in answer:
            raise DemoError(f"Dagster did not launch a run: {answer.get('message', answer['__typename'])}")
        return str(answer["run"]["runId"])

    def launch_backfill(self, *assets: Sequence[str], partitions: Sequence[str]) -> str:
        """Have the backfill daemon materialize these partitions; the backfill's id."""
        params = {"assetSelection": _keys(assets), "partitionNames": list(partitions)}
        answer = self.query(_LAUNCH_BACKFILL, it=params)["launchPartitionBackfill"]
        if "backfillId" not in answer:
            raise DemoError(f"Dagster did not launch a backfill: {answer.get('message', answer['__typename'])}")
        return str(answer["backfillId"])

    def runs_of_backfill(self, backfill_id: str) -> list[str]:
        """The runs that the daemon has launched for it; DemoError with what the daemon says if it failed."""
        found = self.query(_BACKFILL, id=backfill_id)["partitionBackfillOrError"]
        if found["error"]:
            raise DemoError(f"the backfill failed: {found['error']['message']}")
        return [run["runId"] for run in found["runs"]]

    def finished(self, run_id: str) -> Steps:
        """Wait for a run's success. A failed one is found by `stop_at_failed_run`, whoever has started it."""
        query = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
        while self.query(query, id=run_id)["runOrError"]["status"] != "SUCCESS":
            yield

    def materializations(self, since: float) -> Iterator[Materialization]:
        """What the runs created since then (epoch seconds) have materialized."""
        for run in self.query(_MATERIALIZED, since=since)["runsOrError"]["results"]:
            for event in run["eventConnection"]["events"]:
                if event:
                    entries = event["metadataEntries"]
                    numbers = {each["label"]: int(each["intRepr"]) for each in entries if "intRepr" in each}
                    asset = "/".join(event["assetKey"]["path"])
                    yield Materialization(run["runId"], asset, event["partition"], numbers)

    def stop_at_failed_run(self, since: float) -> None:
        """Raise DemoError with what a run that failed or was cancelled since then says of itself."""
        self.server.check()
        for run in self.query(_FAILED, since=since)["runsOrError"]["results"]:
            errors = [event["error"] for event in run["eventConnection"]["events"] if event.get("error")]
            causes = [cause["message"] for error in errors for cause in [error, *error["causes"]]]
            raise DemoError("\n".join([f"run {run['runId']} failed; Dagster's log is {self.server.log}", *causes]))


def api_calls(materializations: Sequence[Materialization], group: str) -> int:
    """Calls to Marketo by a group's assets: each run says once for each asset what it took, whatever its partitions."""
    calls = {
        (each.run_id, each.asset): each.numbers.get("api_calls", 0)
        for each in materializations
        if each.asset.startswith(f"{group}/")
    }
    return sum(calls.values())


def run_together(parts: Sequence[Steps], check: Callable[[], None]) -> None:
    """Lead all parts to their end, each going on while the others wait; `check` raises where that cannot be."""
    going = list(parts)
    while going:
        for part in list(going):
            try:
                next(part)
            except StopIteration:
                going.remove(part)
        check()
        time.sleep(POLL_SECONDS)


def progress_bars(console: Console) -> Progress:
    """Bars with counts and time."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


def _keys(assets: Sequence[Sequence[str]]) -> list[dict[str, list[str]]]:
    return [{"path": list(path)} for path in assets]
