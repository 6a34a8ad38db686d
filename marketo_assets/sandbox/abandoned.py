"""Ends the transactions of clients that were killed, inside the local Snowflake.

fakesnow would keep such a transaction open until it stops, and with it whatever rows it touched out of everybody's
reach. Snowflake itself rolls back what has been idle for four hours; here nobody waits that long.

Does not belong here: any other difference from Snowflake (snowflake.py).
"""

from collections import Counter
from collections.abc import MutableMapping

import duckdb
from fakesnow.conn import FakeSnowflakeConnection
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from marketo_assets.marketo.clock import Clock

IDLE_SECONDS = 10.0


class RollBackAbandoned:
    """ASGI middleware: before each request, sessions that went silent within a transaction are ended."""

    def __init__(self, app: ASGIApp, sessions: MutableMapping[str, FakeSnowflakeConnection], clock: Clock) -> None:
        """`sessions` are fakesnow's own, by token."""
        self._app = app
        self._sessions = sessions
        self._clock = clock
        self._last_heard: dict[str, float] = {}
        self._in_flight: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._end_abandoned()
        authorization = HTTPConnection(scope).headers.get("authorization", "")
        token = authorization.removeprefix('Snowflake Token="').removesuffix('"')
        self._in_flight[token] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_flight[token] -= 1
            self._last_heard[token] = self._clock.monotonic()

    def _end_abandoned(self) -> None:
        silent_since = self._clock.monotonic() - IDLE_SECONDS
        for token, heard in list(self._last_heard.items()):
            if self._in_flight[token] or heard > silent_since:
                continue
            del self._last_heard[token]  # nothing to find there until the session is heard again
            connection = self._sessions.get(token)
            if connection is not None and _roll_back(connection):
                del self._sessions[token]  # a client that does live must not go on as if half its work were done


def _roll_back(connection: FakeSnowflakeConnection) -> bool:
    """Whether there was a transaction to roll back. fakesnow keeps no note of one begun with autocommit on."""
    try:
        connection._duck_conn.rollback()  # noqa: SLF001 - there is no other way to DuckDB's own answer
    except duckdb.TransactionException:
        return False
    return True
