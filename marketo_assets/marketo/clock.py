"""Time as the client, the limiter and the emulator see it. What waits or counts time for Marketo goes through here."""

import threading
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What needs the time takes one of these, so that tests run a month in seconds."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go backwards, for durations."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait that long on this clock."""
        ...


def utc_now(clock: Clock) -> datetime:
    """The clock's time as an aware datetime in UTC."""
    return datetime.fromtimestamp(clock.now(), UTC)


class SystemClock:
    """The machine's own time."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never go backwards."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait in real time."""
        time.sleep(seconds)


class VirtualClock:
    """Time that moves only when somebody waits or a test says so. Safe to share between threads."""

    def __init__(self, start: float) -> None:
        """`start` is in seconds since the epoch, UTC."""
        self._now = start
        self._lock = threading.Lock()

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        with self._lock:
            return self._now

    def monotonic(self) -> float:
        """The same clock: it never goes backwards."""
        return self.now()

    def sleep(self, seconds: float) -> None:
        """Move the time on and return at once."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move the time on by `seconds` (never back)."""
        with self._lock:
            self._now += max(0.0, seconds)
