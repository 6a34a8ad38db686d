"""`marketo-assets demo`: the whole pump on this machine, from contacts with real-world dirt to a table that adds up.

Does not belong here: the pump, the stand-ins. The demo only starts them and looks, as a person would.
"""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import click
import orjson
import requests
from dagster import DagsterRunStatus
from dagster_graphql import DagsterGraphQLClient
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.clock import SystemClock
from marketo_assets.marketo.limits import ApiBudget, ApiLimits
from marketo_assets.marketo.usage import calls_used_today
from marketo_assets.pump.drop import SourceState, observe_source
from marketo_assets.pump.files import file_version
from marketo_assets.sandbox import contacts
from marketo_assets.sandbox.dagster_dev import START_SECONDS, dagster_server
from marketo_assets.sandbox.processes import Sandbox, SandboxError, SandboxOptions, Server, stop_like_ctrl_c
from marketo_assets.settings import Settings
from marketo_assets.warehouse.session import Warehouse

EXISTING_SHARE = 10
"""One contact in so many is a lead already."""

DUPLICATE_SHARE = 50
"""One contact in so many is two or three leads."""

_POLL_SECONDS = 0.5
_FINISHED = {DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED}


class DemoError(click.ClickException):
    """The demo did not end as it should."""


@dataclass(frozen=True)
class Outcome:
    """What the ledger says of one drop."""

    exported: int
    counts: dict[str, int]
    codes: dict[str, int]
    duplicates: int

    @property
    def settled(self) -> int:
        """Rows that have ended."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class Files:
    """The files that this demo answers for: those dropped since it began, also by the schedule, and those it found."""

    since: datetime
    carried_over: tuple[str, ...]
    """Files of an earlier demo that was stopped before their rows had arrived."""


@click.command()
@click.option(
    "--contacts", "count", type=click.IntRange(1), default=10_000, show_default=True, help="Size of the table."
)
@click.option("--exit", "exit_at_end", is_flag=True, help="End when the rows have arrived, instead of at Ctrl-C.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of the Dagster UI; default: any free one.")
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".demo"),
    show_default=True,
    help="Folder of everything that outlives the demo; remove it to begin anew.",
)
def demo(*, count: int, exit_at_end: bool, port: int, state: Path) -> None:
    """Run the pump from the local Snowflake through S3 to the local Marketo, in a real Dagster."""
    console = Console()
    stop_like_ctrl_c()
    try:
        with ExitStack() as stack:
            _run(stack, console, count, state.resolve(), port, exit_at_end=exit_at_end)
    except SandboxError as error:
        raise DemoError(str(error)) from error
    except KeyboardInterrupt:
        console.print("Stopped; nothing is left running. `make demo` goes on where this ended.")


def _run(stack: ExitStack, console: Console, count: int, state: Path, port: int, *, exit_at_end: bool) -> None:
    with console.status("starting the local Snowflake, S3 and Marketo"):
        sandbox = stack.enter_context(Sandbox(SandboxOptions(state)))
    environment = {**sandbox.environment, "DAGSTER_HOME": str(_dagster_home(state))}
    warehouse = stack.enter_context(contacts.open_warehouse(environment))
    client = stack.enter_context(_marketo(environment, state))
    if contacts.count_contacts(warehouse) != count:
        _load(console, warehouse, client, count)
    with console.status("starting Dagster: web server, daemon, code location"):
        dagster = dagster_server(Path.cwd(), environment, state / "logs" / "dagster.log", port)
        stack.callback(dagster.stop)
        dagster.wait_until_ready(START_SECONDS)
    console.print(f"Dagster runs at [bold]{dagster.url}[/bold]")
    calls_before, started = calls_used_today(client), time.monotonic()
    files = Files(datetime.now(UTC).replace(tzinfo=None), tuple(_open_files(warehouse)))
    _go_on_with(files.carried_over, dagster)
    run_id = _launch_drop(dagster)
    outcome = _watch(console, warehouse, dagster, run_id, files)
    seconds = time.monotonic() - started
    # Each reading of the usage counts as a call itself.
    calls = calls_used_today(client) - calls_before - 1
    source = observe_source(warehouse, Settings.from_env(environment).config.pumps["contacts"])
    console.print(_table(source, outcome, calls, seconds, dagster.url))
    if outcome.settled != outcome.exported:
        raise DemoError(f"{outcome.exported - outcome.settled} rows are not accounted for")
    if exit_at_end:
        return
    console.print("It keeps running: look around in the UI. Ctrl-C stops everything.")
    while True:
        sandbox.check()
        dagster.check()
        time.sleep(_POLL_SECONDS)


def _dagster_home(state: Path) -> Path:
    home = state / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy("dagster.yaml", home / "dagster.yaml")
    return home


@contextmanager
def _marketo(environment: dict[str, str], state: Path) -> Iterator[MarketoClient]:
    clock = SystemClock()
    budget = ApiBudget(state / "demo_api", ApiLimits(), clock)
    try:
        with MarketoClient(
            environment["MARKETO_BASE_URL"],
            environment["MARKETO_CLIENT_ID"],
            environment["MARKETO_CLIENT_SECRET"],
            budget,
            clock=clock,
        ) as client:
            yield client
    finally:
        budget.close()


def _load(console: Console, warehouse: Warehouse, client: MarketoClient, count: int) -> None:
    """Make the contact table; some of its people are leads already, some of them several times."""
    with _progress(console) as progress:
        task = progress.add_task("loading contacts", total=count)
        dirt = contacts.load_contacts(warehouse, count, on_chunk=lambda rows: progress.advance(task, rows))
        known = warehouse.rows(
            f"select distinct lower(trim(email_address)) as email from {contacts.SOURCE_TABLE}"
            " where email_address like '%@%' and email_address not like '% %' order by 1"
        )
        emails = [row["email"] for row in known if row["email"].isascii()]
        leads = [*emails[::EXISTING_SHARE], *emails[::DUPLICATE_SHARE], *emails[:: 3 * DUPLICATE_SHARE]]
        task = progress.add_task("filling Marketo with leads", total=len(leads))
        for batch in _batches(leads, 300):
            body = {"action": "createDuplicate", "input": [{"email": email} for email in batch]}
            client.request("POST", "/rest/v1/leads.json", json_body=orjson.dumps(body))
            progress.advance(task, len(batch))
    table = Table("dirt in the contact table", "contacts", title=f"{count:,} contacts")
    for name, rows in sorted(dirt.items()):
        table.add_row(name.replace("_", " "), f"{rows:,}")
    console.print(table)


def _batches(items: Sequence[str], size: int) -> Iterator[list[str]]:
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch


def _open_files(warehouse: Warehouse) -> list[str]:
    there = warehouse.rows("select table_name from information_schema.tables where table_name = 'PUMP_FILES'")
    open_files = "select file from PUMP_FILES where origin = 'drop' and state in ('writing', 'open')"
    return [row["file"] for row in warehouse.rows(open_files)] if there else []


def _go_on_with(files: tuple[str, ...], dagster: Server) -> None:
    """Run the partitions of these files again; of a file that has none yet, the sensor does it."""
    if not files:
        return
    query = """{ assetNodeOrError(assetKey: {path: ["contacts", "leads"]}) { ... on AssetNode { partitionKeys } } }"""
    answer = requests.post(f"{dagster.url}/graphql", json={"query": query}, timeout=30).json()
    keys = answer["data"]["assetNodeOrError"]["partitionKeys"]
    again = [key for key in keys if file_version(key).path in files]
    if again:
        query = "mutation($it: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $it) { __typename } }"
        what = {"assetSelection": [{"path": ["contacts", "leads"]}], "partitionNames": again}
        body = {"query": query, "variables": {"it": what}}
        requests.post(f"{dagster.url}/graphql", json=body, timeout=30).raise_for_status()


def _launch_drop(dagster: Server) -> str:
    return _graphql(dagster).submit_job_execution(
        "__ASSET_JOB",
        repository_location_name="marketo_assets",
        repository_name="__repository__",
        asset_selection=[["contacts", "drop"]],
    )


def _graphql(dagster: Server) -> DagsterGraphQLClient:
    return DagsterGraphQLClient("127.0.0.1", port_number=dagster.port)


def _watch(console: Console, warehouse: Warehouse, dagster: Server, run_id: str, files: Files) -> Outcome:
    """Look at the drop's run, then at the ledger, until every file of the drop has ended."""
    client = _graphql(dagster)
    with _progress(console) as progress:
        task = progress.add_task("contacts/drop: changed contacts to CSV on S3", total=None)
        while (status := client.get_run_status(run_id)) not in _FINISHED:
            dagster.check()
            time.sleep(_POLL_SECONDS)
        if status != DagsterRunStatus.SUCCESS:
            _stop_at_failed_run(dagster, files.since)
        outcome, open_files = _outcome(warehouse, files)
        progress.update(task, total=1, completed=1)
        if not open_files:
            return outcome
        task = progress.add_task("contacts/leads: the S3 sensor's runs", total=outcome.exported)
        while open_files:
            dagster.check()
            _stop_at_failed_run(dagster, files.since)
            time.sleep(_POLL_SECONDS)
            outcome, open_files = _outcome(warehouse, files)
            progress.update(task, completed=outcome.settled)
    return outcome


def _stop_at_failed_run(dagster: Server, since: datetime) -> None:
    """Raise DemoError with what a run that failed or was cancelled since then says of itself."""
    query = """
    query($since: Float!) {
      runsOrError(filter: {statuses: [FAILURE, CANCELED], createdAfter: $since}, limit: 1) {
        ... on Runs {
          results { runId eventConnection { events { ... on ErrorEvent { error { message causes { message } } } } } }
        }
      }
    }
    """
    answer = requests.post(
        f"{dagster.url}/graphql",
        json={"query": query, "variables": {"since": since.replace(tzinfo=UTC).timestamp()}},
        timeout=30,
    ).json()
    for run in answer["data"]["runsOrError"]["results"]:
        errors = [event["error"] for event in run["eventConnection"]["events"] if event.get("error")]
        causes = [cause["message"] for error in errors for cause in [error, *error["causes"]]]
        raise DemoError("\n".join([f"run {run['runId']} failed; Dagster's log is {dagster.log}", *causes]))


def _outcome(warehouse: Warehouse, files: Files) -> tuple[Outcome, int]:
    """What the ledger says of these files, and how many are open."""
    dropped = "PUMP_FILES where origin = 'drop' and (opened_at >= %(since)s or file in (%(carried_over)s))"
    # A tuple is bound as a list of values; it must not be empty.
    values = {"since": files.since, "carried_over": files.carried_over or ("",)}
    of_them = f"where file in (select file from {dropped})"
    totals = warehouse.rows(
        "select coalesce(sum(row_count), 0) as exported,"
        f" coalesce(count_if(state in ('writing', 'open')), 0) as open_files from {dropped}",
        **values,
    )[0]
    rows = warehouse.rows(
        f"select status, code, count(*) as n from LEAD_SYNC_RESULTS {of_them} group by status, code",
        **values,
    )
    duplicates = warehouse.rows(f"select count(*) as n from DUPLICATE_LEADS {of_them}", **values)[0]["n"]
    counts = dict.fromkeys(("created", "updated", "skipped", "rejected", "superseded"), 0)
    codes: dict[str, int] = {}
    for row in rows:
        counts[row["status"]] += row["n"]
        if row["status"] == "rejected":
            codes[row["code"]] = codes.get(row["code"], 0) + row["n"]
    return Outcome(int(totals["exported"]), counts, codes, int(duplicates)), int(totals["open_files"])


def _table(source: SourceState, outcome: Outcome, calls: int, seconds: float, url: str) -> Table:
    table = Table("", "rows", title="What became of the contacts")
    table.columns[1].justify = "right"
    table.add_row("in the contact table", f"{source.contacts:,}")
    table.add_row("  without an e-mail", f"{source.blank_keys:,}")
    table.add_row("  older ones with the same e-mail", f"{source.contacts - source.blank_keys - source.keys:,}")
    table.add_row("  unchanged since Marketo answered", f"{max(0, source.keys - outcome.exported):,}")
    table.add_row("  exported to S3", f"{outcome.exported:,}", end_section=True)
    for status, rows in outcome.counts.items():
        table.add_row(status, f"{rows:,}")
        if status == "rejected":
            for code, of_code in sorted(outcome.codes.items()):
                table.add_row(f"  {code}", f"{of_code:,}")
    table.add_row("accounted for", f"{outcome.settled:,}", end_section=True)
    table.add_row("duplicates resolved (several leads, one e-mail)", f"{outcome.duplicates:,}")
    table.add_row("API calls", f"{calls:,}")
    table.add_row("seconds", f"{seconds:.1f}", end_section=True)
    table.add_row("Dagster UI", url)
    if not outcome.exported:
        table.caption = "Nothing has changed since Marketo last accepted it: nothing was exported."
    return table


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
