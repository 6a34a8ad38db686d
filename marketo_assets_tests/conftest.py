"""One Snowflake and one S3 for the whole test run, and what is fresh for each test inside them.

Under xdist the controller starts both before its workers and hands them the addresses; without xdist the first test
that asks for one starts it. A test gets databases and a bucket of its own, so tests never see each other's data.
"""

import atexit
import gc
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import dagster as dg
import pytest
from mypy_boto3_s3.service_resource import Bucket, S3ServiceResource

import marketo_assets
from marketo_assets.marketo.clock import VirtualClock
from marketo_assets.sandbox import processes
from marketo_assets.sandbox.marketo import Emulator, EmulatorOptions

if TYPE_CHECKING:
    from marketo_assets.warehouse.session import Warehouse

SNOWFLAKE_PORT, S3_URL = "sandbox_snowflake_port", "sandbox_s3_url"
SERVERS = pytest.StashKey[dict[str, processes.Server]]()
CLEANUP = pytest.StashKey[ExitStack]()
OUR_TABLES = {
    name.upper()
    for package in ("extract", "pump", "sync")
    for file in (Path(marketo_assets.__file__).parent / package / "sql").glob("*tables.sql")
    for name in re.findall(r"create table if not exists (\w+)", file.read_text())
}


def pytest_configure(config: pytest.Config) -> None:
    gc.disable()  # until all is imported, see below
    os.environ["SNOWFLAKE_DISABLE_PLATFORM_DETECTION"] = "true"  # or each login asks for a cloud around this machine
    os.environ |= processes.without_proxy()
    config.stash[CLEANUP] = ExitStack()
    config.stash[SERVERS] = {}
    if config.getoption("numprocesses", None):  # the xdist controller; its workers do not carry the option on
        _server(config, "Snowflake")
        _server(config, "S3")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    snowflake_server, s3_server = _server(node.config, "Snowflake"), _server(node.config, "S3")
    snowflake_server.wait_until_ready()
    s3_server.wait_until_ready()
    node.workerinput |= {SNOWFLAKE_PORT: snowflake_server.port, S3_URL: s3_server.url}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: "test_histories" not in item.nodeid)  # the longest test first: no worker waits for it


def pytest_collection_finish() -> None:
    gc.freeze()  # what is imported now stays: looking through all of it again and again took a tenth of the run
    gc.enable()
    atexit.register(gc.unfreeze)  # or DuckDB reports at the end that it was not given back


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[CLEANUP].close()


def _server(config: pytest.Config, name: str) -> processes.Server:
    """The running server of that name, started now if it is not yet."""
    servers, cleanup = config.stash[SERVERS], config.stash[CLEANUP]
    if name not in servers:
        folder = Path(tempfile.mkdtemp(prefix="marketo_assets_tests_"))
        cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        log = folder / "log"
        if name == "S3":
            servers[name] = processes.s3_server(None, log, [])
        else:
            servers[name] = processes.snowflake_server(folder / "databases", log, {})
        cleanup.callback(servers[name].stop)
    return servers[name]


@pytest.fixture(scope="session")
def snowflake_port(pytestconfig: pytest.Config) -> int:
    """Where the shared Snowflake answers."""
    workerinput = getattr(pytestconfig, "workerinput", {})
    if SNOWFLAKE_PORT in workerinput:
        return int(workerinput[SNOWFLAKE_PORT])
    server = _server(pytestconfig, "Snowflake")
    server.wait_until_ready()
    return server.port


@pytest.fixture(scope="session")
def s3_url(pytestconfig: pytest.Config) -> str:
    """Where the shared S3 answers."""
    workerinput = getattr(pytestconfig, "workerinput", {})
    if S3_URL in workerinput:
        return str(workerinput[S3_URL])
    server = _server(pytestconfig, "S3")
    server.wait_until_ready()
    return server.url


@pytest.fixture(scope="session")
def databases(snowflake_port: int) -> Iterator[tuple[str, str, "Warehouse"]]:
    """Of a worker: one to write to, one to read from as in production, and a session that makes and drops schemas.

    A test has schemas of its own in them, not databases: with each one that is left, all that is asked of the
    information schema takes longer.
    """
    target = f"T_{uuid.uuid4().hex[:12]}".upper()
    source = f"{target}_PROD"
    with _open_warehouse(processes.snowflake_environment(snowflake_port, source)):
        pass  # a login makes the database it names
    with _open_warehouse(processes.snowflake_environment(snowflake_port, target)) as session:
        yield target, source, session


@pytest.fixture
def empty_schema_env(snowflake_port: int, databases: tuple[str, str, "Warehouse"]) -> Iterator[dict[str, str]]:
    """The SNOWFLAKE_ variables of a schema with nothing in it: for a test that looks at what there is."""
    target, _, session = databases
    schema = _new_schema(session, target)
    yield processes.snowflake_environment(snowflake_port, target, schema)
    session.execute(f"drop schema {target}.{schema} cascade")


@pytest.fixture(scope="session")
def used_schemas() -> list[str]:
    """Of a worker: those that tests have left with our tables and without rows; to make the tables takes longer."""
    return []


@pytest.fixture
def warehouse_env(
    snowflake_port: int, databases: tuple[str, str, "Warehouse"], used_schemas: list[str]
) -> Iterator[dict[str, str]]:
    """The SNOWFLAKE_ variables of a schema of the test's own, with our tables or without, in any case without rows."""
    target, _, session = databases
    schema = used_schemas.pop() if used_schemas else _new_schema(session, target)
    yield processes.snowflake_environment(snowflake_port, target, schema)
    if _emptied(session, target, schema):
        used_schemas.append(schema)
    else:
        session.execute(f"drop schema {target}.{schema} cascade")


def _new_schema(session: "Warehouse", database: str) -> str:
    schema = f"MARKETO_{uuid.uuid4().hex[:12]}".upper()
    session.execute(f"create schema {database}.{schema}")
    return schema


def _emptied(session: "Warehouse", database: str, schema: str) -> bool:
    """Take the rows out of our tables and drop all others; False if there are views, which are dropped with all."""
    rows = session.rows(
        f"select table_name as name, false as is_view from {database}.information_schema.tables"
        f" where table_schema = '{schema}' union all select table_name, true from {database}.information_schema.views"
        f" where table_schema = '{schema}'"
    )
    if any(row["is_view"] for row in rows):
        return False
    names = {row["name"]: f'{database}.{schema}."{row["name"]}"' for row in rows}
    for name in names.keys() - OUR_TABLES:
        session.execute(f"drop table {names.pop(name)}")
    # The information schema's own row_count is an estimate.
    counts = " union all ".join(f"select '{name}' as name, count(*) as n from {table}" for name, table in names.items())
    for row in session.rows(counts) if counts else []:
        if row["n"]:
            session.execute(f"delete from {names[row['name']]}")
    return True


@pytest.fixture
def warehouse(warehouse_env: dict[str, str]) -> Iterator["Warehouse"]:
    """A session with the fresh database."""
    with _open_warehouse(warehouse_env) as session:
        yield session


@pytest.fixture
def source_schema(databases: tuple[str, str, "Warehouse"]) -> Iterator[str]:
    """`<database>.<schema>`, fresh, in another database than the one written to, as in production."""
    _, source, session = databases
    schema = f"{source}.{processes.SOURCE_SCHEMA}_{uuid.uuid4().hex[:12]}".upper()
    session.execute(f"create schema {schema}")
    yield schema
    session.execute(f"drop schema {schema} cascade")


@pytest.fixture(scope="session")
def shared_instance() -> Iterator[dg.DagsterInstance]:
    """One for all tests of a worker: making one, and what it compiles, takes as long as a small run."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def instance(shared_instance: dg.DagsterInstance) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance without runs, events and partitions."""
    yield shared_instance
    shared_instance.wipe()


def _open_warehouse(env: dict[str, str]) -> "AbstractContextManager[Warehouse]":
    from marketo_assets.sandbox.contacts import open_warehouse  # noqa: PLC0415 - two seconds, spared where not needed

    return open_warehouse(env)


@pytest.fixture(scope="session")
def s3(s3_url: str) -> S3ServiceResource:
    """The shared S3. Made once: a boto3 session takes a quarter of a second to build."""
    env = processes.s3_environment(s3_url)
    session = boto3.Session(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"])
    return session.resource("s3", endpoint_url=s3_url, region_name=env["AWS_DEFAULT_REGION"])


@pytest.fixture
def s3_bucket(s3: S3ServiceResource) -> Bucket:
    """A fresh bucket."""
    return s3.create_bucket(Bucket=f"t-{uuid.uuid4().hex[:12]}")


@pytest.fixture
def s3_env(s3_url: str, s3_bucket: Bucket) -> dict[str, str]:
    """The PUMP_ and AWS_ variables of the fresh bucket."""
    return processes.s3_environment(s3_url, bucket=s3_bucket.name)


@pytest.fixture
def marketo_clock() -> VirtualClock:
    """The time in `marketo`: it moves when somebody waits."""
    return VirtualClock(datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp())


@pytest.fixture
def marketo(marketo_clock: VirtualClock) -> Iterator[Emulator]:
    """An empty Marketo with its documented limits, in process: reach it through EmulatorTransport or LocalServer."""
    with closing(Emulator(EmulatorOptions(), marketo_clock)) as emulator:
        yield emulator
