"""The one budget of calls that all threads and processes of this machine share, and the lock for lead writes.

What the limits are and how a place is taken belongs here; what a call is does not. The state lies in one directory on a
local disk: an SQLite file and a few lock files, so that a killed process frees what it held.
"""

import fcntl
import logging
import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Final, cast

from pyrate_limiter import Rate, RateItem, SQLiteBucket

from marketo_assets.marketo.clock import Clock
from marketo_assets.marketo.errors import MarketoError, QuotaExhaustedError, TokenError, next_quota_reset, quota_day

log = logging.getLogger("marketo_assets.marketo")

# A call let go at t arrives a little later, and not all calls are equally late. The window is held this much longer
# than Marketo's, so that a call that dawdled and one that did not are still a whole window apart on arrival.
WINDOW_MARGIN: Final = 0.015
# Half the calls of a window may go at once, the other half so much faster after it than the limit on average allows:
# bursts of a whole window would shut out the instance's other users for the rest of it, and arrive as unevenly as a
# server under a burst answers.
PACE: Final = 1.6
USAGE_READ_SECONDS: Final = 600.0
_SLOT_POLL_SECONDS: Final = 0.02
_LOCK_POLL_SECONDS: Final = 1.0
_LEAK_EVERY: Final = 100


@dataclass(frozen=True, slots=True)
class ApiLimits:
    """Marketo's limits, which hold for the whole instance, and the share of the day left to its other users."""

    calls_per_day: int = 50_000
    reserve_for_others: float = 0.2
    calls_per_window: int = 100
    window_seconds: float = 20.0
    concurrent_calls: int = 10


class ApiBudget:
    """Holds `limits` for every thread and process that uses the same `state_dir`. One per process is enough."""

    def __init__(self, state_dir: Path, limits: ApiLimits, clock: Clock) -> None:
        state_dir.mkdir(parents=True, exist_ok=True)
        self.limits = limits
        self._state_dir = state_dir
        self._clock = clock
        self._day_budget = round(limits.calls_per_day * (1 - limits.reserve_for_others))
        self._interval_seconds = limits.window_seconds * (1 + WINDOW_MARGIN)
        self._gate_lock = threading.Lock()
        self._usage_lock = threading.Lock()
        self._turn = threading.Lock()
        self._slots = threading.BoundedSemaphore(limits.concurrent_calls)
        self._taken = 0
        with self._gate():
            self._bucket = SQLiteBucket.init_from_file(
                [
                    Rate(limits.calls_per_window // 2, ceil(self._interval_seconds * 1000 / 2 / PACE)),
                    Rate(limits.calls_per_window, ceil(self._interval_seconds * 1000)),
                ],
                table="calls",
                db_path=str(state_dir / "calls.sqlite"),
            )
            self._db = self._bucket.conn
            # Write-ahead, synced now and then: a commit takes microseconds and survives the death of the process.
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS day"
                " (id INTEGER PRIMARY KEY CHECK (id = 0), day TEXT, calls INTEGER, read_at REAL, paused_until REAL)"
            )
            self._db.execute("INSERT OR IGNORE INTO day VALUES (0, '', 0, 0, 0)")
            self._db.commit()

    def close(self) -> None:
        """Close the state file. Call it when no call is in flight."""
        self._db.close()

    @contextmanager
    def call(self) -> Iterator[float]:
        """Around one call: waits for a slot and then for a place in the window; yields the seconds waited.

        The slot comes first, so that no time passes between the place in the window and the call itself.
        """
        started = self._clock.monotonic()
        with self._slots, closing(self._free_slot()):
            with self._turn:  # one thread waits for the next place, not ten for the same one
                while (wait := self._take_place()) > 0:
                    self._clock.sleep(wait)
            yield self._clock.monotonic() - started

    def check_day(self, endpoint: str, read_usage: Callable[[], int]) -> None:
        """Raise QuotaExhaustedError if the day's budget is used up; `read_usage` asks Marketo how much of it is.

        See `calls_left`.
        """
        now = self._clock.now()
        left = self.calls_left(read_usage)
        if left <= 0:
            raise QuotaExhaustedError(
                "budget",
                f"{self._day_budget - left} calls are used today; "
                f"{self._day_budget} of {self.limits.calls_per_day} are ours to use",
                endpoint,
                "",
                next_quota_reset(now),
            )

    def calls_left(self, read_usage: Callable[[], int]) -> int:
        """Calls that the day's budget still has; below 0 where others have used up more than the reserve.

        Marketo is asked once for a start and every ten minutes; in between our own calls are counted. If it cannot say,
        our own count has to do.
        """
        with self._usage_lock:
            if self._claim_usage_reading():
                try:
                    self._at_least(read_usage())
                except (QuotaExhaustedError, TokenError):
                    raise
                except MarketoError as error:
                    log.warning("calls used today are unknown (%s): counting our own only", error.code)
            with self._gate():
                return self._day_budget - self._calls_today(self._clock.now())

    def usage_is_due(self) -> bool:
        """Whether the next call will ask Marketo for the day's usage first."""
        with self._usage_lock, self._gate():
            return self._usage_is_old(self._clock.now())

    def quota_exhausted(self) -> None:
        """Marketo answered 607: nobody here calls again before the next quota day."""
        self._at_least(self.limits.calls_per_day)

    def rate_exceeded(self) -> None:
        """Marketo answered 606: everybody here waits a whole window, since others filled this one."""
        with self._gate():
            self._pause(self._clock.now())

    @contextmanager
    def _gate(self) -> Iterator[None]:
        """One thread of one process at a time. A blocking flock: woken by the kernel, where a file lock would poll."""
        with self._gate_lock, closing(_LockFile(self._state_dir / "gate.lock")) as gate:
            gate.wait()
            yield

    def _free_slot(self) -> "_LockFile":
        count = self.limits.concurrent_calls
        while True:
            # Threads of this process never poll: the semaphore lets in as many as there are slots.
            first = random.randrange(count)  # noqa: S311 -- spreads the tries, guards nothing
            for index in range(first, first + count):
                slot = _LockFile(self._state_dir / f"slot-{index % count}.lock")
                if slot.try_lock():
                    return slot
                slot.close()
            self._clock.sleep(_SLOT_POLL_SECONDS)

    def _take_place(self) -> float:
        """Take a place in the window and return 0, or the seconds after which to try again."""
        with self._gate():
            now = self._clock.now()
            (paused_until,) = self._db.execute("SELECT paused_until FROM day").fetchone()
            # The stamp is the moment of leaving, so it is made anew after each wait; a place reserved ahead would be
            # off by however late its thread wakes up.
            place = RateItem("call", int(now * 1000))
            if paused_until > now:
                wait = float(paused_until) - now
            elif self._bucket.put(place):
                self._count_call(now)
                return 0.0
            else:
                # The SQLite bucket answers at once; its base class allows for buckets that do not.
                wait = cast("int", self._bucket.waiting(place)) / 1000
            if wait > self._interval_seconds + 1:
                # The machine's clock was set back, so the stamps lie in the future: start over, a window from now.
                self._bucket.flush()
                self._pause(now)
                wait = self._interval_seconds
            return wait

    def _count_call(self, now: float) -> None:
        self._calls_today(now)
        self._db.execute("UPDATE day SET calls = calls + 1")
        self._db.commit()
        self._taken += 1
        if self._taken % _LEAK_EVERY == 0:
            self._bucket.leak(int(now * 1000))

    def _pause(self, now: float) -> None:
        self._db.execute("UPDATE day SET paused_until = ?", (now + self._interval_seconds,))
        self._db.commit()

    def _calls_today(self, now: float) -> int:
        """Calls known of in the quota day of `now`, which starts a new count where it is a new day."""
        today = quota_day(now).isoformat()
        day, calls = self._db.execute("SELECT day, calls FROM day").fetchone()
        if day == today:
            return int(calls)
        self._db.execute("UPDATE day SET day = ?, calls = 0, read_at = 0", (today,))
        self._db.commit()
        return 0

    def _at_least(self, used: int) -> None:
        # Never less than we counted ourselves: Marketo's figure may lag behind.
        with self._gate():
            self._calls_today(self._clock.now())
            self._db.execute("UPDATE day SET calls = max(calls, ?)", (used,))
            self._db.commit()

    def _claim_usage_reading(self) -> bool:
        """Whether it is time to read the usage, and ours to do; other processes then leave it alone."""
        with self._gate():
            now = self._clock.now()
            if not self._usage_is_old(now):
                return False
            self._db.execute("UPDATE day SET read_at = ?", (now,))
            self._db.commit()
            return True

    def _usage_is_old(self, now: float) -> bool:
        self._calls_today(now)
        (read_at,) = self._db.execute("SELECT read_at FROM day").fetchone()
        return not 0 <= now - read_at < USAGE_READ_SECONDS


@contextmanager
def lead_write_lock(state_dir: Path, clock: Clock) -> Iterator[None]:
    """Let only one process of this machine write leads at a time; the others wait here and say so once.

    Marketo has no unique key on e-mail: two calls in flight with one new e-mail create two leads. Within a run the
    batches keep keys apart; between runs this does.
    """
    with process_lock(state_dir, "lead-writes", clock):
        yield


@contextmanager
def process_lock(state_dir: Path, name: str, clock: Clock) -> Iterator[None]:
    """Held by one thread of one process of this machine at a time; the others wait here and say so once."""
    state_dir.mkdir(parents=True, exist_ok=True)
    with closing(_LockFile(state_dir / f"{name}.lock")) as lock:
        if not lock.try_lock():
            log.info("another process holds %s: waiting for it to end", name)
            while not lock.try_lock():
                clock.sleep(_LOCK_POLL_SECONDS)
        yield


class _LockFile:
    """An flock on a file. Freed by `close`, or by the kernel when the process dies, however it dies."""

    def __init__(self, path: Path) -> None:
        # Opened anew each time: a lock belongs to the open file, so a shared one would not keep threads apart.
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def wait(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def try_lock(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        os.close(self._file)
