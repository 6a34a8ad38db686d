"""Calls and errors counted by US Central day, and the four stats endpoints that show them.

Which calls count is decided in limits.py.
"""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from marketo_assets.marketo.clock import Clock
from marketo_assets.sandbox.marketo.store import Store
from marketo_assets.sandbox.marketo.wire import Answer, Call

QUOTA_ZONE = ZoneInfo("America/Chicago")
"""The day of quotas and statistics begins at midnight US Central time."""


class Usage:
    """The counters of one instance."""

    def __init__(self, store: Store, clock: Clock) -> None:
        """They live in the store and survive a restart."""
        self._store = store
        self._clock = clock
        self._day = self.today()
        self._calls = sum(store.tally(self._day, "calls").values())

    def today(self) -> str:
        """The US Central day, as YYYY-MM-DD."""
        return datetime.fromtimestamp(self._clock.now(), QUOTA_ZONE).strftime("%Y-%m-%d")

    def calls_today(self) -> int:
        """Calls counted since midnight US Central."""
        self._turn_day()
        return self._calls

    def errors_today(self) -> dict[str, int]:
        """Calls that failed as a whole since midnight US Central, by code."""
        return self._store.tally(self.today(), "errors")

    def count_call(self, user: str) -> None:
        """One more call by an API user."""
        self._turn_day()
        self._calls += 1
        self._store.add_to_tally(self._day, "calls", user, 1)

    def count_error(self, code: str) -> None:
        """One more call that failed as a whole."""
        self._turn_day()
        self._store.add_to_tally(self._day, "errors", code, 1)

    def usage(self, _call: Call) -> Answer:
        """GET stats/usage.json: today's calls, by user."""
        return Answer([self._usage_of(self.today())])

    def usage_last_7_days(self, _call: Call) -> Answer:
        """GET stats/usage/last7days.json: newest day first, today included (a choice)."""
        return Answer([self._usage_of(day) for day in self._last_days()])

    def errors(self, _call: Call) -> Answer:
        """GET stats/errors.json: today's errors, by code."""
        return Answer([self._errors_of(self.today())])

    def errors_last_7_days(self, _call: Call) -> Answer:
        """GET stats/errors/last7days.json."""
        return Answer([self._errors_of(day) for day in self._last_days()])

    def _turn_day(self) -> None:
        day = self.today()
        if day != self._day:
            self._day = day
            self._calls = sum(self._store.tally(day, "calls").values())

    def _last_days(self) -> list[str]:
        today = datetime.fromtimestamp(self._clock.now(), QUOTA_ZONE).date()
        return [(today - timedelta(days=days)).isoformat() for days in range(7)]

    def _usage_of(self, day: str) -> dict[str, Any]:
        users = self._store.tally(day, "calls")
        counts = [{"userId": user, "count": count} for user, count in sorted(users.items())]
        return {"date": day, "total": sum(users.values()), "users": counts}

    def _errors_of(self, day: str) -> dict[str, Any]:
        codes = self._store.tally(day, "errors")
        counts = [{"errorCode": code, "count": count} for code, count in sorted(codes.items())]
        return {"date": day, "total": sum(codes.values()), "errors": counts}
