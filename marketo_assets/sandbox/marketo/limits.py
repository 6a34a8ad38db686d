"""The instance-wide limits a call has to pass: in flight, calls per window, calls per day.

Sizes (300 rows, 1 MB, 8 KB) are constants of options.py, checked where the size is known.
"""

from collections import deque

from marketo_assets.sandbox.marketo.options import EmulatorOptions
from marketo_assets.sandbox.marketo.usage import Usage
from marketo_assets.sandbox.marketo.wire import ApiError

UNCOUNTED_CODES = frozenset({"601", "602", "604", "605", "608", "611"})
"""Calls answered with these count against neither quota nor rate; refusals for a limit (606, 607, 615) do count."""


class Limits:
    """Not thread-safe: the emulator asks under its lock."""

    def __init__(self, options: EmulatorOptions, usage: Usage) -> None:
        """The window starts empty, the day's count is what the state remembers."""
        self._options = options
        self._usage = usage
        self._window: deque[float] = deque()
        self.in_flight = 0

    def count(self, user: str, arrived: float) -> None:
        """Count a call that arrived then, or refuse it: 615, 606 or 607, in this order."""
        concurrency, rate, quota = self._options.concurrency, self._options.rate, self._options.daily_quota
        calls_before = self._calls_in_window(arrived)
        quota_before = self._usage.calls_today()
        if rate is not None:
            self._window.append(arrived)
        self._usage.count_call(user)
        if concurrency is not None and self.in_flight >= concurrency:
            raise ApiError("615", f"Concurrent access limit '{concurrency}' reached")
        if rate is not None and calls_before >= rate[0]:
            raise ApiError("606", f"Max rate limit '{rate[0]}' exceeded with in '{rate[1]:g}' secs")
        if quota is not None and quota_before >= quota:
            raise ApiError("607", f"Daily quota '{quota}' reached")

    def _calls_in_window(self, now: float) -> int:
        if self._options.rate is None:
            return 0
        start = now - self._options.rate[1]
        while self._window and self._window[0] <= start:
            self._window.popleft()
        return len(self._window)
