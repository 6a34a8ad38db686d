"""Leads deleted in Marketo, from Get Deleted Leads: bulk extract leaves them out. One row per lead."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

import pyarrow as pa

from marketo_assets.extract.rows import moment
from marketo_assets.extract.store import ActivityStore, Watermark
from marketo_assets.extract.windows import midnight
from marketo_assets.marketo.activities import deleted_lead_pages, paging_token
from marketo_assets.marketo.client import MarketoClient
from marketo_assets.marketo.clock import utc_now
from marketo_assets.marketo.errors import PagingTokenError
from marketo_assets.warehouse.session import Warehouse

STREAM: Final = "deleted_leads"

RETENTION: Final = timedelta(days=14)
"""How long Marketo remembers deletes at least (fact: Activities, "Streams")."""

OVERLAP: Final = timedelta(hours=1)

_SCHEMA: Final = pa.schema([("lead_id", pa.int64()), ("marketo_guid", pa.string()), ("deleted_at", pa.timestamp("us"))])


@dataclass
class Deletes:
    """What a reading found."""

    read: int = 0
    new: int = 0
    gap: tuple[datetime, datetime] | None = None
    """Deletes of this time may be missing: Marketo had forgotten them before they were asked for."""
    is_first: bool = False
    """The first reading: what Marketo had forgotten by then, nobody could have read."""


def read_deleted_leads(
    client: MarketoClient, warehouse: Warehouse, store: ActivityStore, run_id: str, start: date
) -> Deletes:
    """Store the deletes since the last reading, at first since `start`; the watermark moves with its rows.

    A paging token that Marketo refuses is replaced once. Raises what the client raises.
    """
    asked_at = utc_now(client.clock)
    mark = store.watermark(STREAM)
    since = mark.read_until - OVERLAP if mark else midnight(start)
    found = Deletes(is_first=mark is None)
    remembered = asked_at - RETENTION
    if since < remembered:
        found.gap = (since, remembered)
    start_at = max(since, remembered)
    try:
        _store_all(client, warehouse, store, run_id, mark or Watermark(paging_token(client, start_at), start_at), found)
    except PagingTokenError:
        if mark is None:
            raise
        fresh = Watermark(paging_token(client, start_at), start_at)
        _store_all(client, warehouse, store, run_id, fresh, found)
    return found


def _store_all(
    client: MarketoClient, warehouse: Warehouse, store: ActivityStore, run_id: str, mark: Watermark, found: Deletes
) -> None:
    asked_at = utc_now(client.clock)
    for page in deleted_lead_pages(client, mark.token):
        # The time moves at the end alone: after days without a reading, a page in the middle is as old as they are.
        read_until = mark.read_until if page.more else asked_at
        # The oldest first: a lead that is told of twice keeps its first time.
        rows = {int(activity["leadId"]): _row(activity) for activity in reversed(page.activities)}
        found.read += len(page.activities)
        loaded_at = utc_now(client.clock).replace(tzinfo=None)
        found.new += _store(
            warehouse,
            store,
            {"run": run_id, "now": loaded_at},
            list(rows.values()),
            Watermark(page.next_token, read_until),
        )
        asked_at = utc_now(client.clock)


def _store(
    warehouse: Warehouse,
    store: ActivityStore,
    names: Mapping[str, Any],
    rows: Sequence[dict[str, Any]],
    mark: Watermark,
) -> int:
    if not rows:
        with store.transaction():
            store.move_watermark(STREAM, mark)
        return 0
    with warehouse.staged(pa.Table.from_pylist(list(rows), schema=_SCHEMA)) as staged, store.transaction():
        new = warehouse.execute(
            "insert into DELETED_LEADS (lead_id, marketo_guid, deleted_at, run_id, loaded_at)"
            " select s.lead_id, s.marketo_guid, s.deleted_at, %(run)s, %(now)s::timestamp_ntz"
            f" from {staged} s left join DELETED_LEADS d on d.lead_id = s.lead_id where d.lead_id is null",
            **names,
        )
        store.move_watermark(STREAM, mark)
    return new


def _row(activity: dict[str, Any]) -> dict[str, Any]:
    # The lead's name, which Marketo tells as well, is not kept: nobody needs it, and it is a person's.
    return {
        "lead_id": int(activity["leadId"]),
        "marketo_guid": str(activity.get("marketoGUID") or activity["id"]),
        "deleted_at": moment(activity["activityDate"]),
    }
