"""What a client did: calls, errors, retries, waiting. Counted here, reported by whoever owns the client."""

import threading
from collections import Counter


class CallStats:
    """Counts, safe to add to from several threads. Token requests are no API calls and are not counted as such."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._retries = 0
        self._seconds_waited = 0.0

    @property
    def calls(self) -> int:
        """Calls sent, repeated ones included."""
        with self._lock:
            return self._calls.total()

    @property
    def calls_by_endpoint(self) -> dict[str, int]:
        """Calls sent per endpoint, ids replaced by `{id}`."""
        with self._lock:
            return dict(self._calls)

    @property
    def errors_by_code(self) -> dict[str, int]:
        """Failed attempts per code of the error table, those that a retry mended included."""
        with self._lock:
            return dict(self._errors)

    @property
    def retries(self) -> int:
        """Attempts made again."""
        with self._lock:
            return self._retries

    @property
    def seconds_waited(self) -> float:
        """Seconds spent waiting for the limits and between attempts, summed over threads."""
        with self._lock:
            return self._seconds_waited

    def add_call(self, endpoint: str) -> None:
        """One call is about to be sent."""
        with self._lock:
            self._calls[endpoint] += 1

    def add_error(self, code: str) -> None:
        """One attempt failed."""
        with self._lock:
            self._errors[code] += 1

    def add_retry(self) -> None:
        """One attempt is about to be made again."""
        with self._lock:
            self._retries += 1

    def add_wait(self, seconds: float) -> None:
        """Time went by waiting."""
        with self._lock:
            self._seconds_waited += seconds
