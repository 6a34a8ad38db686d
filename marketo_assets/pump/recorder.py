"""Results go to the ledger a few thousand rows at a time, in a thread of their own, while Marketo is being called."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Final, Self

from marketo_assets.pump.duplicates import Duplicate
from marketo_assets.pump.rows import RowResult

FLUSH_ROWS: Final = 6_000
"""Rows recorded at once: what a killed run may have to send again, against the cost of a bulk load."""

Record = Callable[[Sequence[RowResult], Sequence[Duplicate]], None]


class Recorder:
    """Collects settled rows and records them; on leaving, also after an error, what was collected is recorded."""

    def __init__(self, record: Record) -> None:
        """`record` is called in one thread only, with rows never given to it before."""
        self._record = record
        self._results: list[RowResult] = []
        self._duplicates: list[Duplicate] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._last: Future[None] | None = None

    def add(self, results: Sequence[RowResult], duplicates: Sequence[Duplicate] = ()) -> None:
        """Take settled rows. Raises what an earlier recording raised."""
        self._results.extend(results)
        self._duplicates.extend(duplicates)
        if len(self._results) >= FLUSH_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._last is not None:
            self._last.result()
        self._last = self._thread.submit(self._record, self._results, self._duplicates)
        self._results, self._duplicates = [], []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._thread:
            self._flush()
        if self._last is not None:
            self._last.result()
