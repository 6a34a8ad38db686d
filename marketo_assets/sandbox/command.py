"""`marketo-assets sandbox`: the stand-ins by hand, until Ctrl-C.

Does not belong here: starting and stopping them (processes.py) and the demo, which starts them for itself.
"""

import os
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import click
from rich.console import Console
from rich.table import Table

from marketo_assets.sandbox.marketo import (
    CustomObjectsError,
    EmulatorOptions,
    Fault,
    FaultsError,
    ObjectType,
    load_custom_objects,
    load_faults,
)
from marketo_assets.sandbox.processes import (
    CUSTOM_OBJECTS,
    DAYS,
    Sandbox,
    SandboxError,
    SandboxOptions,
    stop_like_ctrl_c,
)

CHECK_SECONDS = 0.5
BYTES_PER_MB = 1_000_000


def _read_limit(_context: click.Context, _parameter: click.Parameter, text: str) -> int | None:
    if text == "off":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise click.BadParameter(f"{text!r} is neither a number from 1 nor off")
    return int(text)


def _read_rate(_context: click.Context, _parameter: click.Parameter, text: str) -> tuple[int, float] | None:
    if text == "off":
        return None
    calls, _, seconds = text.partition("/")
    try:
        rate = int(calls), float(seconds)
    except ValueError:
        rate = 0, 0.0
    if not (rate[0] > 0 and 0 < rate[1] < float("inf")):
        raise click.BadParameter(f"{text!r} is neither like 100/20 (calls in so many seconds) nor off")
    return rate


def _read_faults(_context: click.Context, _parameter: click.Parameter, file: Path | None) -> list[Fault]:
    try:
        return [] if file is None else load_faults(file)
    except FaultsError as error:
        raise click.BadParameter(str(error)) from error


def _read_objects(_context: click.Context, _parameter: click.Parameter, file: Path) -> tuple[ObjectType, ...]:
    try:
        return load_custom_objects(file)
    except CustomObjectsError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.option("--only", type=click.Choice(["marketo"]), help="Start this one alone.")
@click.option(
    "--env-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the variables there, for `set -a; . FILE`.",
)
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".sandbox"),
    show_default=True,
    help="Folder of the data and logs.",
)
@click.option("--leads", type=click.IntRange(0), default=0, help="Fill Marketo up to this many leads.")
@click.option("--activities", type=click.IntRange(0), default=0, help="Fill Marketo up to this many activities.")
@click.option("--days", type=click.IntRange(1), default=DAYS, show_default=True, help="Spread them over so many days.")
@click.option(
    "--activities-per-minute", type=click.FloatRange(0), default=0.0, help="New activities that come by themselves."
)
@click.option(
    "--contacts",
    type=click.IntRange(1),
    help="Make the contact table with this many rows, if it has not; accounts and purchases beside it.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of Marketo; default: any free one.")
@click.option("--latency-ms", type=click.FloatRange(0), default=0.0, help="Time that every call to Marketo takes.")
@click.option(
    "--rate", callback=_read_rate, default="100/20", show_default=True, help="Calls in so many seconds (606), or off."
)
@click.option(
    "--concurrency", callback=_read_limit, default="10", show_default=True, help="Calls in flight (615), or off."
)
@click.option(
    "--daily-quota", callback=_read_limit, default="50000", show_default=True, help="Calls per day (607), or off."
)
@click.option(
    "--export-seconds",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="How long an export job takes, besides the time for its size.",
)
@click.option(
    "--export-refresh-seconds",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="How often the status of an export job refreshes.",
)
@click.option(
    "--export-quota-mb",
    callback=_read_limit,
    default="500",
    show_default=True,
    help="Megabytes exported per day (1029), or off.",
)
@click.option("--token-seconds", type=click.IntRange(1), default=3600, show_default=True, help="Life of a token.")
@click.option(
    "--custom-objects",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    callback=_read_objects,
    default=CUSTOM_OBJECTS,
    show_default="those of marketo.yaml",
    help="YAML file: the custom objects that Marketo has.",
)
@click.option("--native-crm", is_flag=True, help="Marketo's companies can be read only, as with a CRM's own sync.")
@click.option(
    "--faults",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    callback=_read_faults,
    help="YAML file: which call goes wrong, how often, how.",
)
def sandbox(
    *,
    only: Literal["marketo"] | None,
    env_file: Path | None,
    state: Path,
    leads: int,
    activities: int,
    days: int,
    activities_per_minute: float,
    contacts: int | None,
    port: int,
    latency_ms: float,
    rate: tuple[int, float] | None,
    concurrency: int | None,
    daily_quota: int | None,
    export_seconds: float,
    export_refresh_seconds: float,
    export_quota_mb: int | None,
    token_seconds: int,
    custom_objects: tuple[ObjectType, ...],
    native_crm: bool,
    faults: list[Fault],
) -> None:
    """Run a local Snowflake, S3 and Marketo that need no account, until Ctrl-C. What they hold outlives a restart."""
    if only and contacts:
        raise click.UsageError("--contacts needs the local Snowflake, which --only marketo leaves out")
    marketo = EmulatorOptions(
        rate=rate,
        concurrency=concurrency,
        daily_quota=daily_quota,
        export_seconds=export_seconds,
        export_refresh_seconds=export_refresh_seconds,
        export_quota_bytes=None if export_quota_mb is None else export_quota_mb * BYTES_PER_MB,
        token_seconds=token_seconds,
        latency_ms=latency_ms,
        live_activities_per_minute=activities_per_minute,
        custom_objects=custom_objects,
        native_crm=native_crm,
        faults=faults,
    )
    console = Console()
    stop_like_ctrl_c()
    try:
        with Sandbox(SandboxOptions(state, marketo, only == "marketo", port, leads, activities, days)) as running:
            if contacts is not None:
                _ensure_contacts(running.environment, contacts)
            _show(console, running, env_file)
            while True:
                running.check()
                time.sleep(CHECK_SECONDS)
    except SandboxError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        console.print("Stopped.")


def write_env_file(file: Path, environment: Mapping[str, str]) -> None:
    """Write `NAME=value` lines that a POSIX shell reads, for the owner's eyes only; an existing file is replaced."""
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in environment.items()]
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as output:
        os.fchmod(output.fileno(), 0o600)
        output.writelines(lines)


def _ensure_contacts(environment: Mapping[str, str], count: int) -> None:
    from marketo_assets.sandbox import contacts, purchases  # noqa: PLC0415 - two seconds, spared with --only marketo

    with contacts.open_warehouse(environment) as warehouse:
        is_new = contacts.count_contacts(warehouse) != count
        if is_new:
            contacts.load_contacts(warehouse, count)
        if is_new or not purchases.purchases_are_there(warehouse):
            purchases.load_purchases(warehouse)


def _show(console: Console, running: Sandbox, env_file: Path | None) -> None:
    table = Table("", "address", "log")
    for server in running.servers.values():
        table.add_row(server.name, server.url, str(server.log))
    console.print(table)
    if env_file is None:
        console.print("Give --env-file FILE to have the variables by which all of this is reached.")
    else:
        write_env_file(env_file, running.environment)
        console.print(f"In another terminal: set -a; . {shlex.quote(str(env_file.resolve()))}; set +a", soft_wrap=True)
    console.print("Ctrl-C stops it.")
