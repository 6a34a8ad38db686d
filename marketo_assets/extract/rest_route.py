"""Activities through Get Lead Activities: chains of pages, each from a paging token, several at once.

The stream is in the order in which Marketo committed the activities, which is nearly but not quite that of their dates:
what a mail campaign did at noon may be committed at four. What a page means for the warehouse belongs elsewhere.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryFile
from threading import Event
from typing import IO, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from marketo_assets.extract.rows import ACTIVITY_SCHEMA, from_rest
from marketo_assets.extract.windows import Window, midnight
from marketo_assets.marketo.activities import activity_pages, paging_token
from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.errors import PagingTokenError

EDGE: Final = timedelta(seconds=1)
"""Marketo's times have whole seconds, and whether a token's own second is included is not documented."""

PAST: Final = timedelta(minutes=5)
"""How long after the end of a day a page has to be before the day is read: Marketo's own clocks may differ."""

ROWS_AT_ONCE: Final = 20_000


@dataclass(frozen=True)
class DayRows:
    """What the stream of one day held, on the local disk. Some rows may be of other days."""

    day: date
    files: tuple[IO[bytes], ...]
    """Without a name: they go with the process, however it ends."""

    def tables(self) -> Iterator[pa.Table]:
        """The rows, some thousands at a time."""
        for file in self.files:
            for batch in pq.ParquetFile(file).iter_batches(ROWS_AT_ONCE):
                yield pa.Table.from_batches([batch], ACTIVITY_SCHEMA)

    def remove(self) -> None:
        """Give the disk back."""
        for file in self.files:
            file.close()


def days_read(
    client: MarketoClient, window: Window, groups: Sequence[Sequence[int]], folder: Path, *, calls: int
) -> Iterator[DayRows]:
    """The stream of each day of the window, oldest first, `calls` chains at once.

    Raises what the client raises, after the days before it have been given out.
    """
    stop = Event()
    with ThreadPoolExecutor(max_workers=calls, thread_name_prefix="activities") as pool:
        chains: dict[date, list[Future[IO[bytes]]]] = {
            day: [pool.submit(_chain, client, midnight(day), group, folder, stop) for group in groups]
            for day in window.days
        }
        try:
            for day, files in chains.items():
                yield DayRows(day, tuple(file.result() for file in files))
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def _chain(client: MarketoClient, start: datetime, type_ids: Sequence[int], folder: Path, stop: Event) -> IO[bytes]:
    """One day's activities of one group of types as a Parquet file."""
    try:
        return _read_chain(client, start, type_ids, folder, stop)
    except PagingTokenError:
        # How long a token is good for is not documented. From the day's start again, with a fresh one.
        return _read_chain(client, start, type_ids, folder, stop)


def _read_chain(
    client: MarketoClient, start: datetime, type_ids: Sequence[int], folder: Path, stop: Event
) -> IO[bytes]:
    over = (start + timedelta(days=1) + PAST).replace(tzinfo=None)
    file = TemporaryFile(dir=folder)  # noqa: SIM115 - handed on, and closed by DayRows
    with pq.ParquetWriter(file, ACTIVITY_SCHEMA) as writer:
        for page in activity_pages(client, paging_token(client, start - EDGE), type_ids):
            if stop.is_set():
                raise CancelledError
            if not page.activities:
                continue
            rows = from_rest(page.activities)
            writer.write_table(rows)
            # Most of the page: some late ones of this day are in the pages of days to come, where they are read anyway.
            if pc.sum(pc.greater_equal(rows["activity_date"], over)).as_py() * 2 > rows.num_rows:
                break
    return file
