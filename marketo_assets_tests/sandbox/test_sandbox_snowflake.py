"""Guards against a local Snowflake that forgets, keeps processes apart, grows, or mixes up nulls or outcomes."""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.instance import FakeSnow
from starlette.types import Message, Receive, Scope, Send

from marketo_assets.marketo.clock import VirtualClock
from marketo_assets.sandbox import abandoned, processes, snowflake
from marketo_assets.sandbox.contacts import open_warehouse
from marketo_assets.warehouse.session import Warehouse

READ_AND_ADD = """
import os
from marketo_assets.sandbox.contacts import open_warehouse
with open_warehouse(os.environ) as warehouse:
    assert warehouse.rows("select n from shared") == [{"n": 1}]
    warehouse.execute("insert into shared values (2)")
"""


def test_what_was_written_is_there_after_kill_9_also_in_a_database_nobody_logs_in_to(tmp_path: Path) -> None:
    databases = {"MINE": ["MARKETO"], "SOURCE": ["PUMPS"]}

    def start() -> processes.Server:
        server = processes.snowflake_server(tmp_path / "databases", tmp_path / "log", databases)
        server.wait_until_ready()
        return server

    def login(server: processes.Server) -> dict[str, str]:
        return processes.snowflake_environment(server.port, "MINE", "MARKETO")

    server = start()
    with open_warehouse(login(server)) as warehouse:
        warehouse.execute("create table kept (n int)")
        warehouse.execute("insert into kept values (1)")
        warehouse.execute("create table SOURCE.PUMPS.kept as select 2 as n")
        with warehouse.transaction():
            warehouse.execute("insert into kept values (3)")
    os.kill(server.pid, signal.SIGKILL)
    server.stop()
    server = start()
    try:
        with open_warehouse(login(server)) as warehouse:
            assert warehouse.rows("select n from kept order by n") == [{"n": 1}, {"n": 3}]
            assert warehouse.rows("select n from SOURCE.PUMPS.kept") == [{"n": 2}]
    finally:
        server.stop()


def test_processes_share_one_database(warehouse: Warehouse, warehouse_env: dict[str, str]) -> None:
    warehouse.execute("create table shared (n int)")
    warehouse.execute("insert into shared values (1)")
    subprocess.run([sys.executable, "-c", READ_AND_ADD], env=os.environ | warehouse_env, check=True, timeout=60)
    assert warehouse.rows("select n from shared order by n") == [{"n": 1}, {"n": 2}]


def test_only_the_newest_results_are_kept() -> None:
    instance = FakeSnow()
    instance.results_cache = snowflake.RecentResults()
    cursor = instance.connect("SPACE", "ROOM").cursor()
    for number in range(3 * snowflake.RESULTS_KEPT):
        assert cursor.execute(f"select {number}").fetchall() == [(number,)]
    assert len(instance.results_cache) == snowflake.RESULTS_KEPT


def test_results_are_described_as_fakesnow_itself_describes_them() -> None:
    class Patched(FakeSnowflakeCursor):
        pass

    snowflake.describe_by_results(Patched)
    connection = FakeSnow().connect("SPACE", "ROOM")
    cursor = Patched(connection, connection._duck_conn)
    for sql in (
        "create table t (n int, price number(10, 2), t text, b boolean, d date, w timestamp_tz, v variant)",
        "insert into t (n, t) values (1, 'a'), (2, '?')",
        "update t set n = 3",
        "select t.*, 'a' as \"status\", n / 3 as third, null as nothing, current_timestamp() as now from t",
        "select v:a::varchar as a, count(*) as n from t group by 1",
        "show tables",
        "merge into t using (select 3 as n) s on t.n = s.n when matched then delete",
        "truncate table t",
        "begin",
        "commit",
        "drop table t",
    ):
        cursor.execute(sql)
        assert cursor._describe_last_sql() == FakeSnowflakeCursor._describe_last_sql(cursor), sql


def test_null_timestamps_are_read_as_null_and_not_as_1970(warehouse: Warehouse) -> None:
    warehouse.execute("create table times (n int, plain timestamp_ntz, zoned timestamp_tz)")
    warehouse.execute("insert into times values (1, null, null)")
    warehouse.execute("insert into times values (2, '2020-01-02 03:04:05.123456', '2020-01-02 03:04:05+02:00')")
    expected = [
        {"plain": None, "zoned": None},
        {
            "plain": datetime(2020, 1, 2, 3, 4, 5, 123456),  # noqa: DTZ001 - TIMESTAMP_NTZ has no zone
            "zoned": datetime(2020, 1, 2, 1, 4, 5, tzinfo=UTC),
        },
    ]
    query = "select plain, zoned from times"
    assert warehouse.rows(f"{query} order by n") == expected
    assert [row["plain"] is None for row in warehouse.arrow(f"{query} order by n").to_pylist()] == [True, False]
    assert warehouse.rows(f"{query} where n > 2") == []


def test_rows_held_by_a_killed_client_are_free_again_and_a_slow_statement_is_not_ended() -> None:
    clock = VirtualClock(0.0)
    instance = FakeSnow()
    sessions = {name: instance.connect("SPACE", "ROOM") for name in ("killed", "slow", "idle", "other")}
    for table in ("held", "slowly"):
        sessions["other"].cursor().execute(f"create table {table} as select 1 as n")
    for name, table in (("killed", "held"), ("slow", "slowly")):
        sessions[name].cursor().execute("begin")
        sessions[name].cursor().execute(f"delete from {table}")

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if b"slow" in dict(scope["headers"])[b"authorization"]:
            clock.advance(2 * abandoned.IDLE_SECONDS)
            await ask("other")

    served = abandoned.RollBackAbandoned(answer, sessions, clock)

    async def ask(session: str) -> None:
        header = (b"authorization", f'Snowflake Token="{session}"'.encode())
        await served({"type": "http", "headers": [header]}, no_message, no_answer)

    asyncio.run(ask("killed"))
    asyncio.run(ask("idle"))
    asyncio.run(ask("other"))
    assert set(sessions) == {"killed", "slow", "idle", "other"}
    asyncio.run(ask("slow"))
    assert set(sessions) == {"slow", "idle", "other"}
    assert sessions["other"].cursor().execute("delete from held").rowcount == 1


async def no_message() -> Message:
    raise AssertionError


async def no_answer(message: Message) -> None:
    raise AssertionError
