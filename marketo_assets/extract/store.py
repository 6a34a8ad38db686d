"""The activities' tables: rows by guid, the record of each load, watermarks and what is known of sizes.

Rows are added, never taken away: Marketo prunes old activities, the warehouse keeps them. Adding a row again replaces
it, so that a merged lead's activities follow its winner and a second load of a day ends in the same state.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from marketo_assets.marketo.clock import Clock, utc_now
from marketo_assets.warehouse.session import Row, Warehouse
from marketo_assets.warehouse.sql import statement

_PACKAGE: Final = "marketo_assets.extract"


@dataclass
class DayCounts:
    """Rows by the UTC day of their activity date."""

    read: Counter[date] = field(default_factory=Counter)
    """As Marketo sent them."""
    repeated: Counter[date] = field(default_factory=Counter)
    """Sent before in this run: neighbouring pages and windows overlap."""
    stored: Counter[date] = field(default_factory=Counter)
    """Found in the table afterwards, repeated ones aside."""
    new: Counter[date] = field(default_factory=Counter)
    """Not in the table before."""

    def add(self, other: "DayCounts") -> None:
        """Add what another part of the run counted."""
        self.read.update(other.read)
        self.repeated.update(other.repeated)
        self.stored.update(other.stored)
        self.new.update(other.new)

    def rows(self, day: date) -> int:
        """Activities read, each counted once."""
        return self.read[day] - self.repeated[day]


@dataclass(frozen=True)
class Watermark:
    """Where to go on in a stream. `read_until`: everything committed before it has been read."""

    token: str
    read_until: datetime


@dataclass(frozen=True)
class History:
    """What earlier loads say of the size of a day; None where there were none."""

    rows_per_day: float | None
    bytes_per_row: float | None


class ActivityStore:
    """The tables through one warehouse session."""

    def __init__(self, warehouse: Warehouse, run_id: str, clock: Clock) -> None:
        """`run_id` is written beside every row."""
        self._warehouse = warehouse
        self._run_id = run_id
        self._clock = clock

    def create_tables(self) -> None:
        """Create what is missing; never changes a table that is there."""
        self._warehouse.create(statement(_PACKAGE, "tables"))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing."""
        with self._warehouse.transaction():
            yield

    @contextmanager
    def added(self, rows: pa.Table) -> Iterator[DayCounts]:
        """Store rows of ACTIVITY_SCHEMA; what is done in the block belongs to the same transaction."""
        if not rows.num_rows:
            with self._warehouse.transaction():
                yield DayCounts()
            return
        span = pc.min_max(rows["activity_date"]).as_py()
        # Bounds by date: Snowflake then looks at the days concerned only, however large the table has grown.
        bounds = {"first": span["min"], "last": span["max"]}
        with self._warehouse.staged(rows) as staged, self._warehouse.transaction():
            before = self._warehouse.rows(statement(_PACKAGE, "count_rows", staged=staged), run=self._run_id, **bounds)
            self._warehouse.execute(statement(_PACKAGE, "delete_rows", staged=staged), **bounds)
            self._warehouse.execute(
                statement(_PACKAGE, "insert_rows", staged=staged), run=self._run_id, now=self._now()
            )
            after = self._warehouse.rows(statement(_PACKAGE, "count_rows", staged=staged), run=self._run_id, **bounds)
            yield _day_counts(before, after)

    def record_loads(
        self, days: Sequence[date], counts: DayCounts, route: str, *, is_complete: bool
    ) -> dict[date, int]:
        """Note what was read of these days; returns the late rows: new ones of a day that was complete before."""
        complete = self._complete_days(days)
        late = {day: counts.new[day] if day in complete else 0 for day in days}
        self._warehouse.execute(
            "delete from ACTIVITY_LOADS where run_id = %(run)s and day in (%(days)s)",
            run=self._run_id,
            days=tuple(days),
        )
        for day in days:
            self._warehouse.execute(
                "insert into ACTIVITY_LOADS"
                " (day, run_id, route, is_complete, rows_read, rows_new, rows_late, loaded_at)"
                " select %(day)s::date, %(run)s, %(route)s, %(complete)s, %(read)s, %(new)s, %(late)s,"
                " %(now)s::timestamp_ntz",
                day=day,
                run=self._run_id,
                route=route,
                complete=is_complete,
                read=counts.rows(day),
                new=counts.new[day],
                late=late[day],
                now=self._now(),
            )
        return late

    def _complete_days(self, days: Sequence[date]) -> set[date]:
        rows = self._warehouse.rows(
            "select distinct day from ACTIVITY_LOADS where is_complete and day in (%(days)s) and run_id <> %(run)s",
            days=tuple(days),
            run=self._run_id,
        )
        return {row["day"] for row in rows}

    def rows_held(self, days: Sequence[date]) -> dict[date, int]:
        """Rows of these days in the table."""
        rows = self._warehouse.rows(
            "select to_date(activity_date) as day, count(*) as n from ACTIVITIES"
            " where activity_date >= %(first)s::timestamp_ntz and activity_date < %(end)s::timestamp_ntz group by 1",
            first=min(days),
            end=max(days) + timedelta(days=1),
        )
        return {row["day"]: row["n"] for row in rows}

    def guids_held_twice(self, first: date, last: date) -> int:
        """Guids of these days that more than one row holds."""
        rows = self._warehouse.rows(
            "select count(*) as n from (select marketo_guid from ACTIVITIES"
            " where to_date(activity_date) between %(first)s and %(last)s group by 1 having count(*) > 1)",
            first=first,
            last=last,
        )
        return int(rows[0]["n"])

    def completed_at(self, day: date) -> datetime | None:
        """When a day was last read from end to end (UTC, naive)."""
        rows = self._warehouse.rows(
            "select max(loaded_at) as at from ACTIVITY_LOADS where is_complete and day = %(day)s", day=day
        )
        at: datetime | None = rows[0]["at"]
        return at

    def read_at(self, day: date) -> datetime | None:
        """When a day was last read, to its end or not (UTC, naive)."""
        rows = self._warehouse.rows("select max(loaded_at) as at from ACTIVITY_LOADS where day = %(day)s", day=day)
        at: datetime | None = rows[0]["at"]
        return at

    def rows_until(self, days: Sequence[date], until: time) -> dict[date, int]:
        """Rows of these days from midnight until that time of the day."""
        rows = self._warehouse.rows(
            "select to_date(activity_date) as day, count(*) as n from ACTIVITIES"
            " where to_date(activity_date) in (%(days)s)"
            " and timediff(second, to_date(activity_date)::timestamp_ntz, activity_date) < %(seconds)s group by 1",
            days=tuple(days),
            seconds=until.hour * 3_600 + until.minute * 60 + until.second,
        )
        return {row["day"]: row["n"] for row in rows}

    def history(self) -> History:
        """Rows per day and bytes per row, of the last days that were read whole."""
        rows = self._warehouse.rows(
            "select avg(rows_read) as per_day from (select rows_read from ACTIVITY_LOADS where is_complete"
            " qualify row_number() over (order by day desc, loaded_at desc) <= 14)"
        )
        sizes = self._warehouse.rows(
            "select sum(byte_count) as bytes, sum(row_count) as n from EXPORT_JOBS where state = 'loaded'"
        )
        per_day, size = rows[0]["per_day"], sizes[0]
        return History(
            None if per_day is None else float(per_day),
            float(size["bytes"]) / float(size["n"]) if size["n"] else None,
        )

    def watermark(self, stream: str) -> Watermark | None:
        """Where to go on in a stream; None before its first reading."""
        return self.watermarks().get(stream)

    def watermarks(self) -> dict[str, Watermark]:
        """Those of all streams."""
        rows = self._warehouse.rows("select stream, token, read_until from SYNC_WATERMARKS")
        return {row["stream"]: Watermark(row["token"], row["read_until"].replace(tzinfo=UTC)) for row in rows}

    def move_watermark(self, stream: str, watermark: Watermark) -> None:
        """Only in the transaction that stores the rows before it, if there are any."""
        values = {
            "stream": stream,
            "token": watermark.token,
            "until": watermark.read_until.astimezone(UTC).replace(tzinfo=None),
            "run": self._run_id,
            "now": self._now(),
        }
        moved = self._warehouse.execute(
            "update SYNC_WATERMARKS set token = %(token)s, read_until = %(until)s::timestamp_ntz, run_id = %(run)s,"
            " moved_at = %(now)s::timestamp_ntz where stream = %(stream)s",
            **values,
        )
        if not moved:
            self._warehouse.execute(
                "insert into SYNC_WATERMARKS (stream, token, read_until, run_id, moved_at)"
                " select %(stream)s, %(token)s, %(until)s::timestamp_ntz, %(run)s, %(now)s::timestamp_ntz",
                **values,
            )

    def _now(self) -> datetime:
        return utc_now(self._clock).replace(tzinfo=None)


def _day_counts(before: Sequence[Row], after: Sequence[Row]) -> DayCounts:
    counts = DayCounts()
    for row, stored in zip(before, after, strict=True):
        day: date = row["day"]
        # Sums come as decimals, and would be shown as such.
        read, guids, there, known = (int(row[name]) for name in ("rows_read", "guids", "rows_there", "known"))
        counts.read[day] += read
        counts.repeated[day] += read - guids + known
        counts.new[day] += guids - there
        counts.stored[day] += int(stored["rows_there"]) - known
    return counts
