"""What happened to leads in Marketo since the last look: three streams into LEAD_CHANGES, each from its own watermark.

New leads and changed values come by Get Lead Changes, merges by Get Lead Activities, deletes by Get Deleted Leads.
A watermark moves in the transaction that stores its rows; what was read twice is stored once, by its guid.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
import pyarrow as pa

from marketo_assets.extract.rows import moment
from marketo_assets.extract.store import ActivityStore, Watermark
from marketo_assets.marketo.activities import (
    ActivityPage,
    activity_pages,
    deleted_lead_pages,
    lead_change_pages,
    paging_token,
)
from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.clock import utc_now
from marketo_assets.marketo.errors import PagingTokenError
from marketo_assets.warehouse.session import Warehouse

NEW_LEAD: Final = 12
CHANGE: Final = 13
MERGE: Final = 32
DELETE: Final = 37

CONTINUOUS: Final = "continuous"
"""A watermark of its own: since when the feed has no gap. A mirror that was read whole before it is not complete."""

CHANGES: Final = "lead_changes"
MERGES: Final = "lead_merges"
DELETES: Final = "lead_deletes"

RETENTION: Final[Mapping[str, timedelta]] = {
    CHANGES: timedelta(days=90),
    MERGES: timedelta(days=90),
    DELETES: timedelta(days=14),
}
"""How long Marketo keeps them at least (fact sheet: Retention); merges are kept longer, by how much differs."""

OVERLAP: Final = timedelta(hours=1)
ROWS_AT_ONCE: Final = 30_000

Pages = Callable[[str], Iterator[ActivityPage]]

_SCHEMA: Final = pa.schema(
    [
        ("marketo_guid", pa.string()),
        ("activity_id", pa.int64()),
        ("lead_id", pa.int64()),
        ("activity_date", pa.timestamp("us")),
        ("activity_type_id", pa.int64()),
        ("fields", pa.string()),
        ("losers", pa.string()),
    ]
)


@dataclass
class FeedCounts:
    """What a reading of the three streams found."""

    read: dict[str, int] = field(default_factory=dict)
    new: dict[str, int] = field(default_factory=dict)
    gaps: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)
    """By stream: what happened between these times may be missing, for Marketo had forgotten it."""
    is_first: bool = False


def read_feed(
    client: MarketoClient, warehouse: Warehouse, store: ActivityStore, run_id: str, fields: Sequence[str]
) -> FeedCounts:
    """Store all that happened since the last reading; the first one begins now, for the mirror is read whole then.

    Raises what the client raises; what was stored until then stays, and so do the watermarks.
    """
    counts = FeedCounts()
    streams: list[tuple[str, Pages]] = [
        (CHANGES, lambda token: lead_change_pages(client, token, fields)),
        (MERGES, lambda token: activity_pages(client, token, [MERGE])),
        (DELETES, lambda token: deleted_lead_pages(client, token)),
    ]
    marks = store.watermarks()
    for stream, pages in streams:
        _follow(client, warehouse, store, run_id, stream, pages, marks.get(stream), counts)
    return counts


def _follow(
    client: MarketoClient,
    warehouse: Warehouse,
    store: ActivityStore,
    run_id: str,
    stream: str,
    pages: Pages,
    mark: Watermark | None,
    counts: FeedCounts,
) -> None:
    now = utc_now(client.clock)
    remembered = now - RETENTION[stream]
    if mark is None:
        counts.is_first = True
        mark = _begin(client, store, now - OVERLAP)
    elif mark.read_until < remembered:
        counts.gaps[stream] = (mark.read_until, remembered)
        mark = _begin(client, store, remembered)
    try:
        _to_the_end(client, warehouse, store, run_id, stream, pages, mark, counts)
    except PagingTokenError:
        # The stored token went bad, possibly after pages of it were stored.
        mark = store.watermark(stream) or mark
        since = mark.read_until - OVERLAP
        fresh = Watermark(paging_token(client, since), since)
        _to_the_end(client, warehouse, store, run_id, stream, pages, fresh, counts)


def _begin(client: MarketoClient, store: ActivityStore, since: datetime) -> Watermark:
    """Begin a stream anew; what was before is missing, which is noted first: a killed run must not forget it."""
    mark = Watermark(paging_token(client, since), since)
    store.move_watermark(CONTINUOUS, Watermark("", since))
    return mark


def _to_the_end(
    client: MarketoClient,
    warehouse: Warehouse,
    store: ActivityStore,
    run_id: str,
    stream: str,
    pages: Pages,
    mark: Watermark,
    counts: FeedCounts,
) -> None:
    waiting: list[dict[str, Any]] = []
    asked_at = utc_now(client.clock)
    for page in pages(mark.token):
        waiting += map(_row, page.activities)
        if len(waiting) >= ROWS_AT_ONCE or not page.more:
            # The time moves at the end alone: after days without a reading, a page in the middle is as old as they are.
            moved = Watermark(page.next_token, mark.read_until if page.more else asked_at)
            new = _store(warehouse, store, run_id, stream, waiting, moved, utc_now(client.clock))
            counts.read[stream] = counts.read.get(stream, 0) + len(waiting)
            counts.new[stream] = counts.new.get(stream, 0) + new
            waiting = []
        asked_at = utc_now(client.clock)


def _store(
    warehouse: Warehouse,
    store: ActivityStore,
    run_id: str,
    stream: str,
    rows: Sequence[dict[str, Any]],
    mark: Watermark,
    now: datetime,
) -> int:
    once = {row["marketo_guid"]: row for row in rows}
    if not once:
        store.move_watermark(stream, mark)
        return 0
    with warehouse.staged(pa.Table.from_pylist([*once.values()], schema=_SCHEMA)) as staged, store.transaction():
        new = warehouse.execute(
            f"insert into LEAD_CHANGES ({', '.join(_SCHEMA.names)}, run_id, loaded_at)"
            f" select {', '.join(f's.{name}' for name in _SCHEMA.names)}, %(run)s, %(now)s::timestamp_ntz"
            f" from {staged} s left join LEAD_CHANGES c on c.marketo_guid = s.marketo_guid"
            " where c.marketo_guid is null",
            run=run_id,
            now=now.replace(tzinfo=None),
        )
        store.move_watermark(stream, mark)
    return new


def _row(activity: Mapping[str, Any]) -> dict[str, Any]:
    # What a record that is no change calls its values is not kept: nobody needs it, and some are a person's name.
    changes = {each["name"]: each.get("newValue") for each in activity.get("fields") or ()}
    attributes = {each["name"]: each.get("value") for each in activity.get("attributes") or ()}
    number = activity.get("id")
    return {
        "marketo_guid": str(activity.get("marketoGUID") or activity["id"]),
        "activity_id": number if isinstance(number, int) else None,
        "lead_id": int(activity["leadId"]),
        "activity_date": moment(activity["activityDate"]),
        "activity_type_id": int(activity["activityTypeId"]),
        "fields": orjson.dumps(changes).decode(),
        # "[12, 34]", or the bare number, or a list: seen in all three shapes (fact sheet: Merge Leads).
        "losers": ",".join(re.findall(r"\d+", str(attributes.get("Merge IDs", "")))),
    }
