"""`marketo-assets demo`: the whole platform on this machine, from contacts with real-world dirt to tables that add up.

Does not belong here: what is done and looked at on the way to Marketo (demo_pump.py) and back (demo_extract.py), the
stand-ins. The demo only starts them and looks, as a person would.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
from rich.console import Console

from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.clock import SystemClock
from marketo_assets.marketo.limits import ApiBudget, ApiLimits
from marketo_assets.pump.drop import observe_source
from marketo_assets.sandbox import contacts, demo_extract
from marketo_assets.sandbox.dagster_dev import START_SECONDS, dagster_server
from marketo_assets.sandbox.demo_dagster import (
    POLL_SECONDS,
    DagsterApi,
    DemoError,
    api_calls,
    progress_bars,
    run_together,
)
from marketo_assets.sandbox.demo_extract import ExtractDemo
from marketo_assets.sandbox.demo_pump import PumpDemo, load_contacts
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
    "--contacts", "count", type=click.IntRange(1), default=10_000, show_default=True, help="Size of the table."
)
@click.option(
    "--activities",
    type=click.IntRange(0),
    default=20_000,
    show_default=True,
    help="Marketo's past week in activities; 0: the contacts alone.",
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
    """Contacts from the local Snowflake to the local Marketo, a week of activities back, in a real Dagster."""
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
    environment = {**sandbox.environment, "DAGSTER_HOME": str(_dagster_home(state))}
    warehouse = stack.enter_context(contacts.open_warehouse(environment))
    client = stack.enter_context(_marketo(environment, state))
    if contacts.count_contacts(warehouse) != count:
        load_contacts(console, warehouse, client, count)
    with console.status("starting Dagster: web server, daemon, code location"):
        dagster = dagster_server(Path.cwd(), environment, state / "logs" / "dagster.log", port)
        stack.callback(dagster.stop)
        dagster.wait_until_ready(START_SECONDS)
    console.print(f"Dagster runs at [bold]{dagster.url}[/bold]")
    api = DagsterApi(dagster)
    extract = ExtractDemo(api, warehouse, client, state / MARKETO_STATE) if activities else None
    _show(console, api, warehouse, Settings.from_env(environment), extract)
    return sandbox, dagster


def _show(
    console: Console, dagster: DagsterApi, warehouse: Warehouse, settings: Settings, extract: ExtractDemo | None
) -> None:
    """The way out and, if there is one, the way back, at the same time."""
    since = time.time()
    pump = PumpDemo(dagster, warehouse)
    with progress_bars(console) as progress:
        parts = [pump.steps(progress)]
        if extract:
            parts = [extract.week(progress), extract.today(progress), *parts]
        run_together(parts, lambda: dagster.stop_at_failed_run(since))
    materialized = list(dagster.materializations(since))
    source = observe_source(warehouse, settings.config.pumps["contacts"])
    console.print(pump.table(source, api_calls(materialized, "contacts")))
    if extract:
        balance = extract.balance()
        console.print(extract.table(balance, materialized))
    console.print(f"Dagster runs at [bold]{dagster.server.url}[/bold]")
    pump.check()
    if extract:
        extract.check(balance)


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
