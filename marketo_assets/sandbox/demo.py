"""`marketo-assets demo`: the whole platform on this machine, from contacts with real-world dirt to tables that add up.

Does not belong here: what is done and looked at on the way to Marketo (demo_pump.py) and back (demo_extract.py) and
both ways (demo_sync.py), the stand-ins. The demo only starts them and looks, as a person would.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import yaml
from rich.console import Console

from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.clock import SystemClock
from marketo_assets.marketo.limits import ApiBudget, ApiLimits
from marketo_assets.pump.drop import observe_source
from marketo_assets.sandbox import contacts, demo_extract, purchases
from marketo_assets.sandbox.dagster_dev import START_SECONDS, dagster_server
from marketo_assets.sandbox.demo_dagster import (
    POLL_SECONDS,
    DagsterApi,
    DemoError,
    Steps,
    api_calls,
    progress_bars,
    run_together,
)
from marketo_assets.sandbox.demo_extract import ExtractDemo
from marketo_assets.sandbox.demo_pump import PumpDemo, load_contacts
from marketo_assets.sandbox.demo_sync import SyncDemo
from marketo_assets.sandbox.marketo.fill import OLDEST_LEAD_DAYS
from marketo_assets.sandbox.processes import (
    MARKETO_STATE,
    Sandbox,
    SandboxError,
    SandboxOptions,
    Server,
    stop_like_ctrl_c,
)
from marketo_assets.settings import Settings
from marketo_assets.warehouse.session import Warehouse


@click.command()
@click.option(
    "--contacts", "count", type=click.IntRange(20), default=10_000, show_default=True, help="Size of the table."
)
@click.option(
    "--activities",
    type=click.IntRange(0),
    default=20_000,
    show_default=True,
    help="Marketo's past week in activities; 0: the contacts' way out alone.",
)
@click.option("--exit", "exit_at_end", is_flag=True, help="End when all has arrived, instead of at Ctrl-C.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of the Dagster UI; default: any free one.")
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".demo"),
    show_default=True,
    help="Folder of everything that outlives the demo; remove it to begin anew.",
)
def demo(*, count: int, activities: int, exit_at_end: bool, port: int, state: Path) -> None:
    """Contacts to the local Marketo, a week of activities back, then both sides in step, in a real Dagster."""
    console = Console()
    stop_like_ctrl_c()
    try:
        with ExitStack() as stack:
            sandbox, dagster = _run(stack, console, count, activities, state.resolve(), port)
            if not exit_at_end:
                _keep_running(console, sandbox, dagster)
    except SandboxError as error:
        raise DemoError(str(error)) from error
    except KeyboardInterrupt:
        console.print("Stopped; nothing is left running. `make demo` goes on where this ended.")


def _run(
    stack: ExitStack, console: Console, count: int, activities: int, state: Path, port: int
) -> tuple[Sandbox, Server]:
    """Start everything, show both ways, judge them."""
    with console.status("starting the local Snowflake, S3 and Marketo"):
        options = SandboxOptions(
            state,
            demo_extract.MARKETO,
            leads=demo_extract.LEADS,
            activities=activities,
            days=demo_extract.DAYS,
        )
        sandbox = stack.enter_context(Sandbox(options))
    environment = {
        **sandbox.environment,
        "DAGSTER_HOME": str(_dagster_home(state)),
        "MARKETO_ASSETS_CONFIG": str(_own_config(state)),
    }
    warehouse = stack.enter_context(contacts.open_warehouse(environment))
    client = stack.enter_context(_marketo(environment))
    is_new = contacts.count_contacts(warehouse) != count
    if is_new:
        load_contacts(console, warehouse, client, count)
    if is_new or not purchases.purchases_are_there(warehouse):
        purchases.load_purchases(warehouse)
    with console.status("starting Dagster: web server, daemon, code location"):
        dagster = dagster_server(Path.cwd(), environment, state / "logs" / "dagster.log", port)
        stack.callback(dagster.stop)
        dagster.wait_until_ready(START_SECONDS)
    console.print(f"Dagster runs at [bold]{dagster.url}[/bold]")
    api = DagsterApi(dagster)
    extract = ExtractDemo(api, warehouse, client, state / MARKETO_STATE) if activities else None
    sync = SyncDemo(api, warehouse, client) if activities else None
    _show(console, api, warehouse, Settings.from_env(environment), extract, sync)
    return sandbox, dagster


def _show(
    console: Console,
    dagster: DagsterApi,
    warehouse: Warehouse,
    settings: Settings,
    extract: ExtractDemo | None,
    sync: SyncDemo | None,
) -> None:
    """The way out and then both ways; if there is one, the way back at the same time."""
    since = time.time()
    pump = PumpDemo(dagster, warehouse)
    with progress_bars(console) as progress:
        parts = [_one_after_the_other(pump.steps(progress), *([sync.steps(progress)] if sync else []))]
        if extract:
            parts = [extract.week(progress), extract.today(progress), *parts]
        run_together(parts, lambda: dagster.stop_at_failed_run(since))
    materialized = [each for each in dagster.materializations(since) if not sync or each.run_id not in sync.runs]
    source = observe_source(warehouse, settings.config.pumps["contacts"])
    console.print(pump.table(source, api_calls(materialized, "contacts")))
    if extract:
        balance = extract.balance()
        console.print(extract.table(balance, materialized))
    findings = sync.findings() if sync else []
    if sync:
        console.print(sync.table(findings))
    console.print(f"Dagster runs at [bold]{dagster.server.url}[/bold]")
    pump.check()
    if extract:
        extract.check(balance)
    if sync:
        sync.check(findings)


def _one_after_the_other(*parts: Steps) -> Steps:
    for part in parts:
        yield from part


def _keep_running(console: Console, sandbox: Sandbox, dagster: Server) -> None:
    console.print("It keeps running: look around in the UI. Ctrl-C stops everything.")
    while True:
        sandbox.check()
        dagster.check()
        time.sleep(POLL_SECONDS)


def _dagster_home(state: Path) -> Path:
    home = state / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy("dagster.yaml", home / "dagster.yaml")
    return home


def _own_config(state: Path) -> Path:
    """A copy of marketo.yaml: the sync runs when its turn comes, and begins with the oldest lead there is."""
    config = yaml.safe_load(Path("marketo.yaml").read_text(encoding="utf-8"))
    config["sync"]["polling_interval"] = "24h"
    config["sync"]["leads"]["start"] = datetime.now(UTC).date() - timedelta(days=OLDEST_LEAD_DAYS + 1)
    copy = state / "marketo.yaml"
    copy.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return copy


@contextmanager
def _marketo(environment: dict[str, str]) -> Iterator[MarketoClient]:
    """The people at Marketo, within the limits that they share with the platform: no call goes over them."""
    clock = SystemClock()
    budget = ApiBudget(Settings.from_env(environment).api_state, ApiLimits(), clock)
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
